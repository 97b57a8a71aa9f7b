"""Spark jobs: files become raw impressions, raw becomes aggregates, aggregates become SST files.

Four verbs, each a `spark-submit`-able file: land, close, compact, export. What each consists of:

    land      mapping, sources, reading, canonical, validity, ids, shard, copies, survey, imported,
              merging, import_job, importing
    close     closing, duplicates
    compact   window_branch, aggregate, audits, audit_facts, audit_sample, published, compare, refs
    export    packing, sst_sink, storage, sweep

Shared: session (the one Spark factory), java and jars, tables (names, columns, layout), snapshots
(what commits say), report (the one-line run report), stages (progress), failpoint (for tests).
Modules are light to import; pyspark is imported inside functions.
"""
