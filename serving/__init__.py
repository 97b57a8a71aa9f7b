"""The gRPC service over a host's active generation, and its Python client.

In the order in which a reader needs it:

    main, workers, worker   one process or several on one port; signals
    server                  wires and binds one server; the order of stopping
    generations, generation which generation answers, swaps, leases
    service                 the four methods
    requests, reads, wire   request -> query -> answer -> response
    columns_wire            columns as bytes: the twin of the response messages
    calls, limits, streams  turns, deadlines, refusals, open streams
    status, auth, health    errors as rich statuses; tokens and TLS; health per concern
    port, log               the shared port; one line per event

    client, result, failures   what a caller imports: grpc, protobuf and numpy only

The service reads what `bulkload` installed and never imports it: they meet in the files that
impressions/generation.py names.
"""
