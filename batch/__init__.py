"""The batch path: topic and files become raw impressions, raw becomes aggregates, these SST files.

On top the weekly run and its four verbs, each verb a file that runs by itself or under
`spark-submit`; below them, by layer, what they consist of. Of the verbs only `compact --recompute`
needs Java. pyspark is imported inside functions, so every module is light to import.

    week          the steps of the weekly run, for `impressions week`
    land          verb: the topic, or files, into raw
    close         verb: slots that are over into their closed form
    compact       verb: a year of raw into one audited, published generation of ema
    export        verb: a published generation into SST files and a manifest
    importing     files into raw
    status        what the tables report: `impressions status`, `quality`, `accept`
    replay        files as live traffic: `impressions produce`
    reconciling   raw and topic against answers: `impressions reconcile`
    housekeeping  what nobody needs any more goes: `impressions housekeeping`
    closing       slots of raw: sorted, duplicates decided
    landing       the topic into raw, exactly once
    compacting    the window aggregated, audited, published; checked by Spark
    exporting     rows of ema into profile blocks, SST files, a generation directory
    jobs          what the jobs have in common: context, tasks, the spec of tasks
    spark         of `compact --recompute`: session, pinned settings, errors
    lake          everything that is Iceberg, from Python
    files         Parquet, CSV and JSON lines of users, read once each
    mapping       a user's columns become ours
    rules         the rules of the core as expressions of Spark
    quality       days of events counted, kept, judged
"""
