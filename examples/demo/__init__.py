"""The demo: the whole path on a generated year, every answer checked against the raw events.

    generate        a year of impression logs as a warehouse would hold them, seeded
    raw             these, or one's own file cut in two, and the oracle's view of them
    story           the steps, one after the other, as an operator would type them
    traffic         what devices send meanwhile
    check           what the server answers, beside the same numbers recomputed from the raw file
    clients         readers under load: latency from event to answer, two servers compared
    shell           runs `impressions` as a person would, its output in files
    screen          what a person sees: stages, commands, a bar, and what was proven

Run by `make demo`. It uses the product only through its command line and its gRPC client, and the
oracle of the tests (oracle/naive.py), which shares no code with the product.
"""
