"""The local copy of the delta topic, shared by the worker and the serving hosts.

In the order in which a reader needs it:

    store      delta blocks of many partitions in RocksDB, and what is known of each partition
    versions   which of the arriving blocks win
    follower   copies partitions of the topic into a store, by position
    sweep      drops the slots that nobody may roll back to any more
    process    `python -m impressions.deltas.process`: the follower of a serving host

It knows neither the worker nor the service; they meet the topic through it.
"""
