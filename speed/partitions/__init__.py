"""One partition of the source while this worker owns it.

opening            a partition restored and ready; the topics' identities
starting_point     where a restored partition goes on, or why it must not
partition          everything the worker knows of one partition, in one object
partition_store    blocks, heartbeat and delta position on disk, in one write
recent_slots       the blocks used recently, in bytes
delta_position     how far the delta topic is known without a gap
own_records        which records of the delta topic this worker wrote
applied_records    the last record of each recent flush
movement           when a partition last moved
leader_clock       the clock of the broker that leads it
silence            how long it has waited for a record
"""
