"""The batch path: topic and files become raw impressions, raw becomes aggregates, these SST files.

Four verbs, each a file that runs by itself or under `spark-submit`: land, close, compact, export.
What each consists of:

    land      landing/ (the topic), importing/ with files/ and mapping/ (histories). No Java
    close     closing/. No Java
    compact   window_branch, aggregate, audits, audit_facts, audit_sample, published, compare, refs,
              spark_io
    export    sst_input, ema_rows, packing, sst_sink, storage, sweep

Shared: lake/ (Iceberg without a JVM), tasks (threads, or tasks of Spark), partitions, report (the
one-line run report), stale (generations that lack rows). Of Spark: session (the one factory),
spark_pinned, spark_errors, stages (progress), shard, java and jars.
Modules are light to import; pyspark is imported inside functions.
"""
