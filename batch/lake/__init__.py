"""Everything that is Iceberg, read and committed from Python: no Spark, no JVM.

tables       the three tables: columns, layout, identity; made, opened, checked
commits      what a table's commits say: valid-through, offsets, who did what
files        live data files of a snapshot with the deletes that apply; states of slots
deletes      row-level deletes of other engines, applied to the rows of a file
reading      rows of data files, page checksums verified
columns      values as columns of the tables, and columns as numbers
writing      sorted rows to data files: statistics, sort order, bounded sizes
committing   one snapshot on exactly the one it was computed from, or a conflict
retry        a step again from the newest state when another commit came first
durable      a FileIO that reports nothing as written before the disk has it
"""
