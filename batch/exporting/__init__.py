"""A published generation of ema as SST files with a manifest.

job                   what every step works with
shards                the shards of a generation, each packed by a task
profile_packing       rows become (key, profile block) pairs. No I/O
sst_files             these pairs as SST files of a generation
verifying             whether an export is complete, and the same as one that is there
leftovers             SST files that no manifest lists, deleted
"""
