"""The source topic into raw, exactly once, by a plain process.

flags       the options of the verb
loop        when rounds run: once, or every so often until SIGTERM
round       one round: commits until the ends of its first look are reached
outcome     how a round left raw, for the report
tally       what commits did, in numbers that add up
job         what a landing was asked for, and what one commit starts from
topic       the topic as the broker describes it now
plan        what to read next, how far a table is complete afterwards. Pure
fetch       records of one partition, in batches bounded by bytes
table_rows  judged records as rows of raw and of rejected
part        one range of a partition: read, judged, sorted, written
appending   what was written becomes part of rejected, then of raw, with the offsets
shortfall   rows that raw should hold and does not
repair      these rows landed a second time
overlap     files and topic must not overlap in ingest time
"""
