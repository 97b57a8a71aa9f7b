"""The gRPC service over a host's active generation, and its Python client.

In the order in which a reader needs it:

    main, workers, worker   one process or several on one port; signals
    family                  the processes around a server: follower, metrics, who runs
    server                  wires and binds one server; the order of stopping
    generations, generation which generation answers, swaps, leases
    service                 the four methods
    requests, reads, wire   request -> query -> answer -> response
    budget                  how many bytes an answer may have
    frames                  responses put together from the answer's own columns
    live                    the live half: this host's copy of the deltas (deltas/)
    now, metrics            what the server says of itself: Describe, health, /metrics
    connections             how many are let in, and for how long
    calls, limits, turns    what is let in, refused, computed now, given up
    unsent, streams         answers that nobody reads; open streams
    status, auth, health    errors as rich statuses; tokens and TLS; health per concern
    port                    the shared port

    client, result, failures   what a caller imports: grpc, protobuf and numpy only
    columns_wire               columns as bytes: the twin of the response messages

The service reads what `bulkload` installed and never imports it: they meet in the files that
impressions/formats/generation_paths.py names. The deltas come to it through `deltas`, which the
worker shares.
"""
