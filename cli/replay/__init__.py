"""Files of events as live traffic: what `impressions produce` sends, and when. No Spark.

    files      paths -> rows of one file group as Arrow tables
    cells      one column of a file -> numbers, with what is absent and what cannot be read
    events     a table through the mapping -> canonical columns, and rows that cannot be sent
    logs       rows -> logs in order of arrival: the rule of the import, on arrays
    pace       when each is due

The mapping's grammar is the import's (batch/mapping.py), and so is what a value or a log is
(batch/canonical.py, batch/copies.py state the same in Spark expressions).
"""
