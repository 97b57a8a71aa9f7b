"""Files of events as live traffic: what `impressions produce` sends, and when. No Spark.

    events     judged rows of files -> those that can be sent, in memory, and why the others cannot
    logs       rows -> logs in order of arrival: the rule of the import, on arrays
    pace       when each is due

Files are read and judged as the import does it (batch/files, batch/mapping).
"""
