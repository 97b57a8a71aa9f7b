"""The streaming worker: what happens now, as delta blocks in a compacted topic.

The process:

    main                  `impressions speed`
    worker                the loop, and the order in which a flush is applied and published
    joins                 no commit while this member joins its group
    engine                Faust: group, assignment, delivery; the only file that touches its insides
    fetches               what the engine delivers, in pieces; nothing is missed between them
    taking                whatever has come is taken as soon as the flush before it is done
    fetched_records       what aiokafka unpacks is a record of ours from the start
    fetch_memory          how much of what was fetched is unpacked at once, in bytes
    directory             the worker's directory, and its member name in the consumer group
    assignment            the open partitions, and the order in which anything is published of one
    publisher             the producer: returns when the broker has everything
    metrics               what it reports to Prometheus

What it works on:

    partitions            one partition while this worker owns it: its state, its store, opening it
    applying              records to delta blocks: no clock, no client, no store

Beside the loop:

    idle_heartbeats       heartbeats of partitions without traffic
    truncation            whether the source was truncated and filled again
    delta_reader          reads the worker's own partitions of the delta topic back
    foreign_records       what a record there means that another worker wrote
    watchdog              ends a worker that has work and does none
    unowned_partitions    partitions that no member of the group has

Faust is the engine, not the state: no tables, no changelogs of its own.
"""
