"""The local copy of the delta topic, shared by the worker and the serving hosts.

In the order in which a reader needs it:

    store               delta blocks of many partitions in RocksDB, and the state of each partition
    block_versions      which of the arriving blocks win
    expired_slots       deletes the slots that no rollback can need any more
    copied_partition    one partition of a follower: its state, and what is still awaited
    follower            copies partitions of the topic into a store, by position
    stream_state        what a copy is good for, from its state of a partition
    news                readers are told at once that something was written
    process             `python -m impressions.deltas.process`: the follower of a serving host

It knows neither the worker nor the service; they meet the topic through it.
"""
