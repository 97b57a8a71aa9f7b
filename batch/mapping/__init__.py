"""A user's columns become ours: what is said, what fits, how values are read, what a row is worth.

    flags    the options of a verb
    grammar  flags and a TOML file -> ImportMapping
    toml     the file
    options  what a file does not say about itself: separator, encoding, zone
    kinds    what a column of a file holds, as far as a mapping minds
    fits     an ImportMapping against the columns of a file
    rows     what a reader of files hands over: n rows, as they stand in the file
    cells    one column -> integers, with what is absent and what cannot be read
    numbers  whole and decimal numbers of text
    times    times: numbers of seconds to nanoseconds, and texts
    iso      ISO 8601 texts
    zones    local times to UTC
    texts    values as text: what enters a hash, and what a text column keeps
    ids      ids: numbers, and hashes of texts
    judge    rows through the mapping -> canonical columns, each row with its reason
    shown    rows as they stood in the file, for the table of rejected rows

No value is guessed and none is lost: what is absent and what cannot be read are two things.
Nothing here opens a file (batch/files does) or knows Spark.
"""
