"""A generation from the one before it: where that reads less than all of raw, shard by shard.

    the generation before    its decayed sums multiplied by what they lose until the new cutover
    - days that left         tail rows that are dropped
    + days that enter        the tail: read from raw, added to their day, taken out of the body
    + new slots              read from raw

Counts are exact, sums within 1e-9 of those from scratch. Each week a thirteenth of the shards is
computed both ways and compared.

forms         which shards are computed how, and why
costs         what reading files costs, from metadata
row_counts    how many rows each shard must read
report        how shards were computed, for people and for the next generation
plain_shift   the rows of the next generation: the definition, in numpy
steps         rows of both generations' files, side by side by profile
comparing     the same shard computed both ways
"""
