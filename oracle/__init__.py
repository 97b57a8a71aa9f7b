"""The oracle: what answers must be, in plain Python over raw events. Shares no product code.

    naive    the answers of the definition, event by event
    files    the reader of files that the oracle judges

Tests, benchmarks and the demo compare the product with it; it is not installed.
"""
