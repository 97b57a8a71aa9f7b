"""Each stage of the system next to a peer and a limit, measured in one run: `make bench`.

    __main__    which stages run and for how long, the table, out/latest.json
    frame       a row of the table, goals, growth, how a time is taken, peers that fail
    cores       which core works for whom
    contest     servers asked in turns: rate and CPU of a request

    world       reads: seeded events, their blocks, a published generation, a loaded host
    server, live_server, load_client, json_client, asking      processes and callers that reads need
    start_up    import of the client; a server until it is ready
    merge       bytes of a profile to rows at a query time
    store       one point read of a warm generation
    steps       where the time of one read goes, step by step, in one process
    read        a real server process under load, beside echoes and its earlier forms
    read_cold   a store that is not in memory
    read_peers  the same request beside Feast and Redis
    load, swaps a published generation onto a host; swaps under load
    size        bytes per entry

    stream_world, stream_processes      a broker, filled topics, workers and peers
    speed       a worker drains a topic
    freshness   from produce to visible in an answer
    delta_topic bytes published in the delta topic for each byte of the source
    restore     a lost partition from its topic
    land        Kafka into the raw table

    lake, jvm, compacting               a raw table of 20 M rows; what Spark's processes use
    compact, compact_job      the weekly job, in a process of its own
    incremental a week later, from scratch and from the generation before
    compact_growth    the same at 1x, 4x and 16x the rows
    small_year  the same for few rows in many days and shards
    close       one slot into its closed form
    export      SST files of a generation

    growth      reads, loads and the worker at 1x, 4x and 16x the data
    peers/      what a user would do instead, in environments of their own; in Go in peers/go

A stage is a module with a docstring, whose first line the run shows, and `run(world)`, which yields
rows. It compares a sample of its answers with oracle/naive.py, or with a recomputation, before it
takes a time. docs/performance.md shows the last table and how to read it.
"""
