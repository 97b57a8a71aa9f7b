"""The gRPC service: answers requests from a host's active generation and its copy of the deltas.

Processes:

    main                 `impressions serve`: one server process, or several workers on one port
    server_process       one server process, from its start to its stop
    server               what a server consists of; the order of starting and stopping
    wiring               makes a server from the settings
    grpc_server          its gRPC part: handlers, interceptors, options, port
    worker_processes     the parent of several workers: starts, restarts and stops them
    worker_process       one of these workers
    child_processes      the follower of a server; how all its processes are listed and measured
    shared_port          the port that workers share and that a second server cannot take

From a request to its answer:

    front                one thread takes single reads and batches, computes and answers
    compiled_answers     bytes of a request to bytes of its response, by compiled code
    answer_contexts      the part of compiled answers that stays the same
    lost_calls           calls that no thread took: gRPC cancelled them, or their callers gave up
    cold_reads           whether reads wait for the disk just now
    calls                what else is asked: a permit to compute, errors to statuses
    service              the four methods
    requests             a request to a query: every field checked
    reads                a profile of the generation merged with its deltas
    answer_budget        the limit of bytes of an answer
    messages             an answer to a response message
    frames               messages built from pieces, so that each column is copied once
    error_status         errors to gRPC statuses

The data that is served:

    generation_switch    follows the pointer file, and switches without dropping a request
    served_generation    one open generation, and the leases of the requests that use it
    live_deltas          this host's copy of the deltas

Who may call, and how much:

    auth                 bearer tokens and TLS
    call_limits          all limits on the calls of a server, as one object
    admission            admission control: refuse on arrival when the pool of calls is full
    call_pool            thread pools that count the calls they hold
    refusal              handlers that refuse a call at once
    concurrency          the concurrency limit: a permit for each request that is computed
    caller               what is asked about a call
    deadline             whether the caller still waits
    large_answers        large answers one at a time
    connections          limits of connections and health watchers
    unread_answers       backpressure for callers that do not read their answers
    open_streams         open streams, to end the idle ones when the server stops

Reports:

    self_report          which generation is served, and why answers would be flagged
    health               grpc.health.v1, for each concern
    metrics              counters, and what is computed when /metrics is read

The service reads what `bulkload` installed and never imports it: they meet in the files that
impressions/formats/generation_paths.py names. The deltas come through impressions/deltas, which the
stream worker shares. The Python client is impressions/client.
"""
