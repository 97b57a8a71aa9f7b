"""The three things that are done most often, compiled with numba.

A read of one profile, from the bytes of a request to those of its response:

    request            bytes of a request to numbers
    answer             those and stored bytes to the bytes of the response
    wire               protobuf written by compiled code

The merge of the plain form, and what both share:

    profiles           stored bytes of a profile to merged rows; which forms there are here
    profile_kernels    the compiled form of impressions/core/merge.py
    table              columns of a stored table, read where they lie
    runs               the order of rows that come as a few sorted runs
    wanted             which rows are of the titles that are asked for

Records of the source topic as columns:

    flushes            values of records to columns; what land and the stream call
    flush_kernels      the compiled form of impressions/formats/device_flushes.py

Impressions of a year as rows of a generation:

    sums               columns of raw to sums by profile, title, location and tail day
    sum_kernels        the compiled form of batch/compacting/plain_sums.py
    shifts             a generation's rows and what changed since to the rows of the next
    shift_kernels      the compiled form of batch/compacting/incremental/plain_shift.py

    cache              where compiled code is kept, and when it is compiled again

Nothing here is a definition: formats and core define, and tests hold both equal
(tests/unit/test_compiled.py, test_compiled_sums.py, test_shifts.py, and
tests/kafka/test_records_compiled.py). Python's lock is released while compiled code runs. It is
compiled once per machine; numba is imported only where it is used.
"""
