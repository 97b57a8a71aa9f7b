"""A published generation of ema as SST files with a manifest.

job                   what every step works with
sst_input             which data files of the table a task reads
ema_rows              rows of one shard from its data files, by profile
profile_packing       rows become (key, profile block) pairs. No I/O
sst_sink              the data source of Spark that writes one shard per task
sst_export            the sink run over the rows of a generation
verifying             whether an export is complete, and the same as one that is there
leftovers             SST files that no manifest lists, deleted
"""
