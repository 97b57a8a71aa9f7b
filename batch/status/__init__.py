"""What the tables report of themselves, for `impressions status`. No Spark, no row of data.

lake    the answer, from the metadata of both tables
"""
