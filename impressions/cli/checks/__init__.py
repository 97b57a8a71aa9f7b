"""The checks of `impressions doctor`, by area.

A check returns what it found, or raises an error of ours whose hint is the fix, or `Skip`.

    check       one line of the report, and how a check becomes one
    packages    Python, the extras, the user
    java        Java, and the jars of Spark and Kafka
    disk        caches, state, free disk, the directory of generations
    lake        the catalog, asked from Python and by Spark
    network     the port of the server, the broker, its topics and its clock
    clock       whether this machine's clock is set and steady
"""
