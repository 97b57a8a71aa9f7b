"""Records of one partition to delta blocks: no clock, no client, no store.

source_record       one record of the source topic
create_time         records with their producer's time instead of the broker's
flush               what some records lead to: blocks, heartbeat, dead letters, counts
encoded_apply       a batch onto the encoded blocks of a partition, compiled where possible
apply               a batch of impressions onto the blocks of a partition
slot_parts          a slot's blocks, one after the other: none outgrows a message
slot_impressions    a batch's impressions beside those that each block holds already
complete_through    through when a partition is complete, by two clocks
complete_since      from when on, where records or blocks were lost
"""
