"""Spark, for `compact --recompute`, `doctor --deep` and SQL by hand: one session for all.

session     the session factory: jars, Java, catalog, properties
pinned      properties that change numbers, refused with another value
event_logs  what each job did, for Spark's history server
errors      a data file that cannot be read, named
"""
