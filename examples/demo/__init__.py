"""The demo: the whole path on a generated year, every answer checked against the raw events.

    generate       a year of impression logs as a warehouse would hold them, seeded
    story       the steps, one after the other, as an operator would type them
    check       what the server answers, beside the same numbers recomputed from the raw file
    shell       runs `impressions` as a subprocess and says so

Run by `make demo`. It uses the product only through its command line and its gRPC client, and the
oracle of the tests (oracle/naive.py), which shares no code with the product.
"""
