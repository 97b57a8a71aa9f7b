"""The source topic into raw, exactly once, by a plain process.

round      one round: commits until the ends of its first look are reached
job        what a landing was asked for, and what one commit starts from
topic      the topic as the broker describes it now
plan       what to read next, how far a table is complete afterwards. Pure
cursor     how far a topic is landed: the properties of a commit
reading    records of one partition, in batches bounded by bytes
rows       judged records as rows of raw and of rejected
part       one range of a partition: read, judged, sorted, written
shortfall  rows that raw should hold and does not
repair     landing those again
loop       when rounds run
"""
