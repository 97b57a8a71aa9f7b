"""A read of one profile from stored bytes, compiled; lies beside the core, which is numpy alone.

    stored   bytes of a profile -> merged rows, the fastest way there is: what serving calls
    merge    the compiled form of impressions/merge.py
    table    columns of a stored table, read where they lie
    runs     the order of rows that come as a few sorted runs
    wanted   which rows are of the titles that are asked for

Nothing here is a definition. Formats and formula belong to impressions/{columns, profile_block,
delta_block, decay, merge}.py, and tests/unit/test_compiled.py holds these modules equal to them.
Python's lock is released while they run. Compiled once per machine, then loaded from numba's cache;
numba is imported only where it is used.
"""
