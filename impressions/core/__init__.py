"""What is measured, and the arithmetic of it: stdlib and numpy only, no I/O, no clock.

In the order in which a reader needs it:

    spec            measures, half-lives, window, slot length: declared once
    errors          everything that can be refused, with a hint
    window          the window of an answer in UTC days, the tail, the horizon
    slot            pieces of ingest time, and the cutover between batch and stream
    decay           the formula
    item            (title, location) as one sortable integer; ranges of ids
    ids             string ids to integers
    shard           which shard owns a profile
    event           which impressions count, and with which event time
    contribution    what an event adds to each measure
    impressions     single impressions as columns, and what they add up to
    ingest_time     the broker's stamps along a partition, made monotone
    sort_key        one number for each row that sorts as several columns do
    rows            the columnar table in which everything is added
    merge           a generation's rows and the stream's, at a query time
    top             the largest rows, as a caller asks for them
    answer          the projection of merged rows that a caller asked for
    completeness    why an answer does not hold everything it should
"""
