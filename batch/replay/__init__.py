"""Files of events as live traffic: what `impressions produce` sends, and when. No Spark.

    produce    the verb
    events     judged rows of files: those that can be sent, and why the others cannot
    flushes    rows as device flushes in order of arrival: the rule of the import, on arrays
    pace       when each is due

Files are read and judged as the import does it (batch/files, batch/mapping).
"""
