"""A generation of ema: the window of raw computed by tasks, audited, published.

job            what every step works with
readiness      whether the generation may be computed
quality_gate   whether the days of the window are like those before
window         the files of raw that it is computed from
incremental    from the generation before instead of all of raw, where that reads less
raw_rows       rows of raw as numpy columns
planning       the parts it is computed in: a shard, or a range of its profiles
part           one part: files of raw read, added up, written, packed
plain_sums     what a generation holds of impressions: the definition, in numpy
facts          what the audits ask of rows, counted while they are in memory
computing      the parts run by tasks, their files committed to the audit branch
auditing       all audits of that branch in order, and their results signed
audits         what must hold, as pure functions of numbers
audit_sample   some profiles recomputed from raw in numpy
publishing     the branch written, signed, made main and tagged
recompute      a published generation computed a second time, by Spark
compare        whether two computations are the same
"""
