"""The streaming worker: what happens now, as delta blocks in a compacted topic.

    apply        pure core: judged impressions + held blocks -> blocks to write
    parts        a slot's blocks, one behind the other: none outgrows a message
    lift         impressions to rows: items, totals and decayed sums, grouped by (profile, slot)
    state        one partition: its store, how far it has come, flush by flush
    publisher    the delta topic's producer: returns when the broker has everything
    guard        the owner follows its own partition: a zombie's older block is found
    engine       Faust: group, assignment, delivery; the only file that touches its insides
    opening      a partition restored and ready; the topics' identities
    events       the engine's events as records, in order, in pieces
    worker       the loop and its order
    partitions   what a worker holds, and the order in which anything is said of a partition
    beats        heartbeats of partitions without traffic
    through      through when a partition is whole, by two clocks
    cuts         whether the source was cut and filled again
    foreign      what a record means that this worker did not write
    unstamped    records that bear their producer's time
    watchdog     ends a worker that has work and does none
    progress     when each partition last moved, for the watchdog
    ownership    whether a worker without partitions is right to idle
    place        which directory a worker works in, and its name in the group
    metrics      what it says of itself
    main         `impressions speed`

Faust is the engine, not the state: no tables, no changelogs of its own.
"""
