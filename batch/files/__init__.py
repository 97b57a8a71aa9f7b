"""Files of events, read once each: Parquet, CSV and JSON lines.

    names       paths for people, whatever bytes are in them
    find        paths, directories and globs -> files, and what is left out
    identify    what a file is: format, sha256, and how to notice that it changes
    parquet     Parquet: columns, and rows in bounded batches
    csv         CSV and TSV: the same
    json_lines  JSON lines: the same
    layout      the columns of a file, in its own order, and those that a mapping reads
    text        bytes of a text file -> UTF-8, decompressed, with what is no text marked
    reader      any file through a mapping -> judged rows
    sample      the first rows of each file, before any file is read to its end

Every file asked for is read exactly once, as many rows as it has, or refused by name.
"""
