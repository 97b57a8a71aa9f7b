"""Two things are compiled, because nothing else is done so often; lies beside the core.

A read of one profile from stored bytes:

    stored   bytes of a profile -> merged rows, the fastest way there is: what serving calls
    merge    the compiled form of impressions/core/merge.py
    table    columns of a stored table, read where they lie
    runs     the order of rows that come as a few sorted runs
    wanted   which rows are of the titles that are asked for

Records of the source topic as columns:

    logs     values of records -> columns, the fastest way there is: what land and the stream call
    records  the compiled form of impressions/kafka/{framing, logs}.py

Nothing here is a definition. Formats and formula belong to impressions/{columns, profile_block,
delta_block, decay, merge}.py and impressions/kafka, and tests hold these modules equal to them
(tests/unit/test_compiled.py, tests/kafka/test_records_compiled.py). Python's lock is released while
they run. Compiled once per machine (cache.py), then loaded from numba's cache; numba is imported
only where it is used.
"""
