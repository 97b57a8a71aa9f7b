"""RocksDB as this project uses it: two kinds of store, one way to open a database, one scan.

    generation_store    a generation: SST files, ingested once, opened read-only
    delta_table         the deltas: one database, rewritten all the time by one process
    scan                all rows of a database in key order; the only scan in the code base
    file_list           the list of files of a database, as another process sees it change
    opening             the options that all databases share

Databases hold plain bytes (rocksdict's raw mode): the formats are in impressions/formats.
"""
