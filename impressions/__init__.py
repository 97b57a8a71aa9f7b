"""Impressions: how often each profile saw each title over a year, recent views weighing more.

Two doors for users:

    client      calls the service; needs grpc, protobuf and numpy
    producer    sends device flushes to the topic; needs confluent-kafka

What everything is made of, in the order in which a reader needs it:

    core        what is measured, and the arithmetic: stdlib and numpy, no I/O
    clock       the one module that reads time
    formats     the bytes of every block, record and file, each with its grammar
    v1          wire types, generated from protos/
    settings    every setting of every process, and where its value comes from
    terminal    what a person sees: messages, progress, reports, log lines
    storage     files on a disk or in an object store, by one path or URI
    history     what every job did, kept beyond it
    process     what every process shares: verbs, signals, child processes, metrics
    compiled    the same as formats and core, compiled where it is done most often
    kafka       topics, records, offsets: everything that talks to a broker
    rocksdb     the two kinds of RocksDB store
    deltas      a host's or worker's copy of the delta topic
    steps       a run of several steps: the weekly run, and a host's way to the newest generation
    seam        whether two generations of a host answer alike, compared before a swap
    jvm         Java and its pinned jars

On top, for one machine and for people:

    status      both paths asked end to end, and judged
    console     a web page of it: where the path is broken, a profile's answer drawn
    exporter    what status shows, as metrics
    local       a broker and the whole system on one machine, without Docker
    cli         the `impressions` command, a file for each verb

The layers batch, speed, serving and bulkload lie between these two groups. Imports only run down;
pyproject.toml states the order and tests/unit/test_layering.py what it cannot see.
"""
