"""The four things that are done most often, compiled with numba.

A read of one profile, from the bytes of a request to those of its response:

    request            bytes of a request to numbers
    answer             those and stored bytes to the bytes of the response
    answer_message     the message around the columns of numbers
    wire               protobuf written by compiled code

The merge of the plain form, and what both share:

    profiles           stored bytes of a profile to merged rows; which forms there are here
    profile_kernels    the compiled form of impressions/core/merge.py
    of_spec            what a spec is to compiled code
    stored_parts       where the parts of a profile are in its bytes
    chosen_rows        which rows are asked for, and which row of the answer each belongs to
    columns_added      the chosen rows of all parts added up, column by column
    table              columns of stored bytes, read where they lie
    runs               the order of rows that come as a few sorted runs
    wanted             which rows are of the titles that are asked for

Records of the source topic as columns:

    flushes            values of records to columns; what land and the stream call
    flush_kernels      the compiled form of impressions/formats/device_flushes.py

A flush of the stream:

    blocks             a batch onto encoded blocks, and the blocks that change
    part_kernels       flushes dealt out to the parts of their slots
    block_kernels      the parts that change, encoded
    column_kernels     whole columns of impressions, read and written
    little_endian      numbers of a fixed width in bytes

Impressions of a year as rows of a generation:

    sums               columns of raw to sums by profile, title, location and tail day
    sum_kernels        the compiled form of batch/compacting/plain_sums.py
    shifts             a generation's rows and what changed since to the rows of the next
    shift_kernels      the compiled form of batch/compacting/incremental/plain_shift.py

Blocks of a store that is checked:

    sound_blocks       whether a profile block is one, all checks of its decoder
    sound_kernel       the compiled form

    loading            compiled modules brought in, or none where they cannot be had
    cache              where compiled code is kept, and when it is compiled again

Nothing here is a definition: formats and core define, and tests hold both equal
(tests/unit/test_compiled.py, test_compiled_sums.py, test_shifts.py,
tests/kafka/test_records_compiled.py, tests/speed/test_encoded_apply.py). Python's lock is released
while compiled code runs. It is compiled once per machine; numba is imported only where it is used.
"""
