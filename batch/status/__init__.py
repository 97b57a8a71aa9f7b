"""What the tables report of themselves. No Spark.

lake       the answer of the tables to `impressions status`
days       the days of events in numbers, for the console
quality    `impressions quality`: days judged, and rows for days that lack them
accept     `impressions accept`: a person says that a finding is well, and why
"""
