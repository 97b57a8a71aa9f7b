"""The audits: what must hold of a computed generation before anybody may read it.

    schema        columns and types of the branch are exactly those of the spec
    conservation  impressions and plays of the branch equal those of the window in raw, dwell within
                  the tolerance: nothing lost, nothing counted twice
    values        no null, NaN, infinity or negative number; tail days and times inside the window
    half_lives    a longer half-life never weighs less, where no event lies after the cutover
    unique_keys   each (profile, title, location, tail day) once
    shards        every shard with rows in raw has rows, and no other
    partitioner   each row's shard is that of its profile
    volume        not empty, and within bounds of the median of earlier generations
    sample        profiles recomputed from raw in numpy have the same rows
                  (batch/compacting/audit_sample.py)
    incremental   where shards were computed both from raw and from the generation before: the same
                  rows (batch/compacting/incremental/comparing.py)

Each audit is a pure function of numbers that tasks have counted of the rows they read and made
(batch/compacting/facts.py). After `schema` all of them run, also when one fails.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from impressions.core.errors import AuditFailed
from impressions.core.spec import Spec
from impressions.settings.sections.batch import Audits


@dataclass(frozen=True)
class Finding:
    """The result of one audit, in words."""

    name: str
    ok: bool
    found: str
    expected: str


@dataclass(frozen=True)
class Facts:
    """What was counted.

    Attributes:
        raw: shard -> measure -> sum over the window.   ema: the same of the branch.
        entries: shard -> rows of the branch.
        bad_values: column -> rows whose value may not be.
        shrinking: rows whose sums shrink as the half-life grows.
        repeated: rows beyond the first of their key.
        misplaced: rows in another shard than their profile's.
        earlier_impressions: of the generations before, newest first.
    """

    raw: Mapping[int, Mapping[str, float]]
    ema: Mapping[int, Mapping[str, float]]
    entries: Mapping[int, int]
    bad_values: Mapping[str, int]
    shrinking: int
    repeated: int
    misplaced: int
    earlier_impressions: Sequence[float]


@dataclass(frozen=True)
class Sample:
    """The outcome of recomputing profiles: how many, and the first differences."""

    profiles: int
    differences: Sequence[str]


def judge(facts: Facts, sample: Sample, spec: Spec, limits: Audits) -> list[Finding]:
    """All findings but `schema`, without which nothing can be counted; in the module's order."""
    return [
        _conservation(facts, spec, limits),
        _values(facts),
        _none("half_lives", facts.shrinking, "rows whose sums shrink as the half-life grows"),
        _none("unique_keys", facts.repeated, "repeated rows"),
        _shards(facts),
        _none("partitioner", facts.misplaced, "rows in another shard than their profile's"),
        _volume(facts, limits),
        _sample(sample),
    ]


def require_ok(findings: Sequence[Finding], generation: str, hint: str) -> None:
    """AuditFailed naming each audit that failed, what it found and what it expected."""
    failed = [finding for finding in findings if not finding.ok]
    if failed:
        parts = "; ".join(f"audit {f.name}: found {f.found}, expected {f.expected}" for f in failed)
        raise AuditFailed(
            f"generation {generation} was not published. {parts}",
            hint=hint,
            reason=f"audit_{failed[0].name}",
        )


def totals(per_shard: Mapping[int, Mapping[str, float]], spec: Spec) -> dict[str, float]:
    """Sums over all shards; whole numbers stay integers."""
    return {m: sum(sums[m] for sums in per_shard.values()) for m in spec.measure_names}


def schema(found: Sequence[tuple[str, str]], expected: Sequence[tuple[str, str]]) -> Finding:
    """Compare (name, SQL type) of the columns, in order."""
    if found == expected:
        return Finding("schema", True, f"{len(found)} columns", f"{len(expected)} columns")
    differing = [pair for pair in found if pair not in expected]
    absent = [pair for pair in expected if pair not in found]
    return Finding(
        "schema",
        False,
        _named(differing) or "the same columns in another order",
        _named(absent) or "the order of the spec",
    )


def _conservation(facts: Facts, spec: Spec, limits: Audits) -> Finding:
    raw, ema = totals(facts.raw, spec), totals(facts.ema, spec)
    ok = all(
        raw[m.name] == ema[m.name]
        if m.integral
        else math.isclose(raw[m.name], ema[m.name], rel_tol=limits.sum_tolerance)
        for m in spec.measures
    )
    return Finding("conservation", ok, _sums(ema), f"{_sums(raw)} (as in raw)")


def _values(facts: Facts) -> Finding:
    bad = {name: count for name, count in facts.bad_values.items() if count}
    found = ", ".join(f"{count} in {name}" for name, count in bad.items())
    return Finding("values", not bad, found or "0", "0 null, NaN, infinite or negative values")


def _shards(facts: Facts) -> Finding:
    found = sorted(shard for shard, rows in facts.entries.items() if rows)
    expected = sorted(shard for shard, sums in facts.raw.items() if sums["impressions"])
    return Finding("shards", found == expected, f"rows in shards {found}", f"in {expected}")


def _volume(facts: Facts, limits: Audits) -> Finding:
    impressions = sum(sums["impressions"] for sums in facts.ema.values())
    low, high = 1.0, math.inf
    expected = "at least 1 impression"
    if facts.earlier_impressions:
        median = statistics.median(facts.earlier_impressions)
        low = max(low, median * limits.volume_min_ratio)
        high = median * limits.volume_max_ratio
        expected = (
            f"{low:.0f} to {high:.0f} ({limits.volume_min_ratio} to {limits.volume_max_ratio} "
            f"times the median of {len(facts.earlier_impressions)} earlier generations)"
        )
    return Finding("volume", low <= impressions <= high, f"{impressions:.0f} impressions", expected)


def _sample(sample: Sample) -> Finding:
    count = len(sample.differences)
    shown = "; ".join(sample.differences[:3])
    found = f"{count} differences in {sample.profiles} profiles" + (f": {shown}" if shown else "")
    return Finding("sample", not count, found, "0 differences from a recomputation of raw")


def _none(name: str, count: int, what: str) -> Finding:
    return Finding(name, count == 0, f"{count} {what}", "0")


def _named(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in pairs)


def _sums(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in values.items())
