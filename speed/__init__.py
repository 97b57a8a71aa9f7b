"""The streaming worker: what happens now, as delta blocks in a compacted topic.

The process:

    main                  `impressions speed`
    worker                the loop, and the order in which a flush is applied and published
    engine                Faust: group, assignment, delivery; the only file that touches its insides
    fetches               what the engine delivers, in pieces; nothing is missed between them
    fetch_memory          how much of what was fetched is unpacked at once, in bytes
    directory             the worker's directory, and its member name in the consumer group
    publisher             the producer: returns when the broker has everything
    metrics               what it reports to Prometheus
    watchdog              ends a worker that has work and does none
    unowned_partitions    partitions that no member of the group has

The partitions assigned to it:

    assignment            which are open, and the order in which anything is published of one
    opening               a partition restored and ready; the topics' identities
    starting_point        where a restored partition goes on, or why it must not
    partition             everything the worker knows of one partition, in one object
    partition_store       blocks, heartbeat and delta position on disk, in one write
    recent_blocks         the blocks used recently, decoded
    delta_position        how far the delta topic is known without a gap
    own_records           which records of the delta topic this worker wrote
    applied_records       the last record of each recent flush
    movement              when a partition last moved
    leader_clock          the clock of the broker that leads it
    silence               how long it has waited for a record

Records to blocks:

    source_record         one record of the source topic
    create_time           records with their producer's time instead of the broker's
    flush                 what some records lead to: blocks, heartbeat, dead letters, counts
    apply                 pure core: a batch of impressions onto the blocks of a partition
    slot_parts            a slot's blocks, one after the other: none outgrows a message
    slot_rows             impressions to rows: items, totals and decayed sums by (profile, slot)
    complete_through      through when a partition is complete, by two clocks
    complete_since        from when on, where records or blocks were lost

Beside the loop:

    idle_heartbeats       heartbeats of partitions without traffic
    truncation            whether the source was truncated and filled again
    delta_reader          reads the worker's own partitions of the delta topic back
    foreign_records       what a record there means that another worker wrote

Faust is the engine, not the state: no tables, no changelogs of its own.
"""
