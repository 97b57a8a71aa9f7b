"""A generation of ema: the window of raw pinned, aggregated, audited, published, by Spark.

job            what every step works with
readiness      whether the generation may be computed
quality_gate   whether the days of the window are like those before
window_branch  the window of raw: surveyed, and pinned as a branch
computing      the aggregates, written to the audit branch
auditing       all audits of that branch in order, and their results signed
audits         what must hold, as pure functions of numbers
audit_facts    these numbers, counted by Spark
audit_sample   some profiles recomputed from raw in numpy
publishing     the branch written, signed, made main and tagged
refs           branches and tags, by Spark SQL
recompute      a published generation computed a second time
compare        whether two computations are the same
"""
