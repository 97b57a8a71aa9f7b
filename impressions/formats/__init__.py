"""The bytes of every block, record and file, each with its grammar at the top of its module.

    columns             the columnar table that both blocks are made of
    profile_block       what a generation stores for one profile
    impression_columns  columns of single impressions, in as few bytes as they need
    delta_block         what the stream stores for one profile and ingest slot
    stored_profile      both blocks of one profile to its merged rows
    heartbeat           how far the stream has come in one partition
    flush_framing       where the device flushes of a record lie in its bytes
    device_flushes      device flushes of records as columns, by the public protobuf class
    varint              protobuf's integers, for messages that are put together from pieces
    generation_paths    names of generations, Iceberg refs, files and directories
    manifest            what a generation directory says of itself, written last
    pointer             which generation a host serves, and what a load brought
    seam_record         what an activation found when it compared two generations
    sealed              JSON files that refuse to be read after a byte changed

A reader refuses what it does not know: another version, another spec, a byte that changed.
"""
