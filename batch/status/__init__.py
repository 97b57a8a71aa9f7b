"""What the tables report of themselves. No Spark.

lake       the answer of the tables to `impressions status`
quality    `impressions quality`: days judged, and rows for days that lack them
accept     `impressions accept`: a person says that a finding is well, and why
"""
