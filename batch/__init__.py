"""The batch path: topic and files become raw impressions, raw becomes aggregates, these SST files.

Verbs on top, each a file that runs by itself or under `spark-submit`; below them, by layer,
what they consist of. pyspark is imported inside functions, so every module is light to import.

    land         verb: the topic, or files, into raw. No Java
    close        verb: slots that are over into their closed form. No Java
    compact      verb: a year of raw into one audited, published generation of ema. Spark
    export       verb: a published generation into SST files and a manifest. Spark
    reconcile    verb: raw against answers, and the events behind each difference. No Java
    show_quality  verb: days of events judged, and rows for days that lack them. No Java
    accept      verb: somebody says that a finding is well
    importing    files into raw
    status       what the tables report, for `impressions status`
    replay       files as live traffic: `impressions produce`
    reconciling  raw and topic against what a server answers
    closing      slots of raw: sorted, duplicates decided
    landing      the topic into raw, exactly once
    compacting   the window pinned, aggregated, audited, published
    exporting    rows of ema into profile blocks, SST files, a generation directory
    jobs         what the jobs have in common: context, tasks
    spark        the session, its pinned settings, its progress, its errors
    lake         everything that is Iceberg, from Python
    files        Parquet, CSV and JSON lines of users, read once each
    mapping      a user's columns become ours
    rules        the rules of the core as expressions of Spark
    quality     days of events counted, kept and judged
"""
