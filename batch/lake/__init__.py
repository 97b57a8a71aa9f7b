"""Everything that is Iceberg, read and committed from Python: no Spark, no JVM.

catalog           the catalog, as Spark and as pyiceberg spell the same settings
tables            the four tables: found, made, checked against the settings
columns           what each holds: names and types
layout            how its rows lie in files: partitions, sort order, properties
snapshots         what snapshots say: valid-through, offsets, who did what; refs
cursor            how far a topic is landed: properties of a snapshot
generations       the published generations of ema, and which rows they lack
incremental_record  which shards of a generation came from the one before it
data_files        live data files of a snapshot, with the delete files that apply
slot_states       slots of raw: rows, undecided rows, whether closed. From metadata
partitions        which partition of raw a row lies in, and which stand right before
imported_until    the newest ingest time of a row that came from a file
deletes           row-level deletes of other engines, applied to the rows of a file
key_ranges        shards shared out and cut into ranges of about as many rows
data_file_rows    rows of data files, page checksums verified
opened_files      files that the parts of one task read, each opened once
profile_merge     rows of several sorted files, by profile
arrow_columns     values as columns of the tables, and columns as numbers
ema_columns       rows of ema as numpy columns, and back
shard_rows        rows of each shard in files of several, counted
sort_order        the order of rows in a file of raw
row_groups        where the row groups of a file end
data_file_writer  sorted rows to data files: statistics, sort order, bounded sizes
guarded_commit    one snapshot on exactly the one it was computed from, or a conflict
removal           refs and snapshots taken out of the metadata: guarded, and without a clock
needed_files      every file that a table's metadata names
stored_files      the files that lie below a table's location
times_in_names    when a file was begun, as its name says
refs              branches and tags, each with an age at which it expires
ref_updates       Iceberg's updates of refs, stamped with no clock's time
conflict          a step repeated from the newest state when another commit came first
durable           a FileIO that reports nothing as written before the disk has it
locations         locations of Iceberg and local paths
format3           commits to tables of format version 3
"""
