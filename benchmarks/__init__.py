"""Each stage of the system next to a peer and a limit, measured in one run: `make bench`.

    __main__    which stages run, the table, out/latest.json
    frame       a row of the table, goals, and how a time is taken
    world       the data: seeded events, their blocks, a published generation, a loaded host
    merge       bytes of a profile to rows at a query time
    store       one point read of a warm generation
    read        a real server process under load
    steps       where the time of one read goes, step by step, in one process
    load        a published generation onto a host
    size        bytes per entry
    server, load_client      processes and callers that `read` needs
    peers/      what a user would do instead

A stage is a module with a docstring, whose first line the table shows, and `run(world)`, which
yields rows. It compares a sample of its answers with tests/naive.py, or with a recomputation,
before it takes a time. docs/performance.md shows the last table and how to read it.
"""
