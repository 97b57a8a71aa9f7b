"""Spark jobs: topic and files become raw impressions, raw becomes aggregates, these SST files.

Four verbs, each a `spark-submit`-able file: land, close, compact, export. What each consists of:

    land      from Kafka: landed, land_plan (pure); kafka_log, kafka_source, land_rows (reading);
              guarded (the commit); shortfall, land_repair; land_job, land_pass, landing, land_loop
              from files: mapping, sources, reading, canonical, validity, ids, shard, copies,
              survey, imported, merging, import_job, importing; both: overlap
    close     closing, duplicates
    compact   window_branch, aggregate, audits, audit_facts, audit_sample, published, compare, refs,
              stale
    export    sst_input, ema_rows, packing, sst_sink, storage, sweep

Shared: session (the one Spark factory), java and jars, tables (names, columns, layout), snapshots
(what commits say), report (the one-line run report), stages (progress), failpoint (for tests).
Modules are light to import; pyspark is imported inside functions.
"""
