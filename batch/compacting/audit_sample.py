"""An independent recomputation: some profiles, from raw, in numpy instead of Spark.

Spark's part ends at the plain rows of the chosen profiles. Window, tail, decay and what an
impression adds are the core's (impressions/core/{window, decay, contribution}.py), so a mistake in
the Spark expressions shows. The choice is a hash of profile and cutover: the same for a re-run,
others next week.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.compacting.audits import Sample
from batch.lake.ema_columns import NOT_TAIL, Columns, columns_of
from impressions.core import item, window
from impressions.core.contribution import contributions
from impressions.core.decay import Float, Int, weights
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_LOCATION
from impressions.core.rows import Rows
from impressions.core.spec import DAY_MS, ITEM_LOCATION_BITS, Spec
from impressions.settings.sections import Audits

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_SHOWN = 10


def recompute(
    raw: DataFrame, ema: DataFrame, cutover_ms: int, spec: Spec, limits: Audits
) -> Sample:
    """Compare the sampled profiles' rows of the audit branch with a recomputation.

    Args:
        raw: the window's branch.   ema: the audit branch.
    """
    from pyspark.sql import functions as F

    profiles = choose(ema, cutover_ms, limits)
    if not profiles:
        return Sample(0, ())
    chosen = F.col("profile_id").isin(profiles)
    events = raw.where(chosen & ~F.col("duplicate")).select(
        "profile_id", "title_id", "location", F.unix_millis("event_time").alias("event_ms"),
        *(F.col(name).cast("double").alias(name) for name in spec.added_columns),
    )  # fmt: skip
    expected = expected_columns(events.toArrow(), cutover_ms, spec)
    try:
        found = sort(columns_of(ema.where(chosen).toArrow(), spec))
    except CorruptData as error:
        return Sample(len(profiles), (error.message,))
    return Sample(len(profiles), differences(found, expected, spec, limits.sum_tolerance))


def choose(ema: DataFrame, cutover_ms: int, limits: Audits) -> list[int]:
    """Profiles by the hash of (cutover, profile), as many as the limits allow."""
    from pyspark.sql import functions as F

    order = F.xxhash64(F.lit(cutover_ms), F.col("profile_id"))
    per_profile = ema.where("profile_id IS NOT NULL").groupBy("shard", "profile_id")
    rows = (
        per_profile.agg(F.sum("impressions").alias("events"))
        .orderBy(order, "profile_id")
        .limit(limits.sample_profiles)
        .collect()
    )
    chosen: list[int] = []
    events = 0
    for row in rows:
        events += row["events"] or 0
        if chosen and events > limits.sample_events:
            break
        chosen.append(int(row["profile_id"]))
    return chosen


def expected_columns(events: pa.Table, cutover_ms: int, spec: Spec) -> Columns:
    """What the aggregate table must hold for these events (of one or many profiles).

    Args:
        events: profile_id, title_id, location, event_ms and `spec.added_columns`; not null.
    """

    def numbers(name: str) -> NDArray[np.generic]:
        values: NDArray[np.generic] = events.column(name).to_numpy()
        return values

    event_ms = numbers("event_ms").astype(np.int64)
    event_day = event_ms // DAY_MS
    keep = np.flatnonzero(event_day >= window.first_day(cutover_ms, spec))
    items = item.pack(numbers("title_id").astype(np.int64), numbers("location").astype(np.int64))
    days = np.where(event_day < window.tail_days(cutover_ms, spec).stop, event_day, NOT_TAIL)
    added = {name: numbers(name) for name in spec.added_columns}
    x = contributions(added, len(event_ms), spec)
    return _sum_by_key(
        numbers("profile_id").astype(np.int64)[keep], days[keep], items[keep], event_ms[keep],
        x[:, keep], cutover_ms, spec,
    )  # fmt: skip


def _sum_by_key(
    profiles: Int, days: Int, items: Int, event_ms: Int, x: Float, cutover_ms: int, spec: Spec
) -> Columns:
    """(n,) events and (M, n) measures become one row per (profile, day, item), ascending."""
    order = np.lexsort((items, days, profiles))
    profiles, days, items, event_ms = (a[order] for a in (profiles, days, items, event_ms))
    x = x[:, order]
    new = (np.diff(profiles) != 0) | (np.diff(days) != 0) | (np.diff(items) != 0)
    starts = np.flatnonzero(np.concatenate((np.ones(min(len(items), 1), np.bool_), new)))
    decayed = weights(cutover_ms - event_ms, spec)
    # One (M, H, n) array of all events would be large; a measure and half-life at a time is not.
    sums = np.stack([[_add(m * w, starts) for w in decayed] for m in x])
    last_seen_ms = np.maximum.reduceat(event_ms, starts) if len(starts) else event_ms
    totals = np.stack([_add(m, starts) for m in x])
    return Columns(profiles[starts], days[starts], Rows(items[starts], last_seen_ms, totals, sums))


def sort(columns: Columns) -> Columns:
    """The same rows ascending by (profile, day, item)."""
    order = np.lexsort((columns.rows.items, columns.days, columns.profiles))
    return Columns(columns.profiles[order], columns.days[order], columns.rows.take(order))


def differences(found: Columns, expected: Columns, spec: Spec, tolerance: float) -> list[str]:
    """The first differences, in words; empty when the rows are the same."""
    keys, wanted = _keys(found), _keys(expected)
    if keys != wanted:
        words = [f"{_words(key)}: not in raw" for key in sorted(set(keys) - set(wanted))]
        words += [f"{_words(key)}: missing" for key in sorted(set(wanted) - set(keys))]
        return words[:_SHOWN] or ["rows repeated"]
    pairs = {"last_seen": (found.rows.last_seen_ms, expected.rows.last_seen_ms, 0.0)}
    for m, measure in enumerate(spec.measures):
        exact = 0.0 if measure.integral else tolerance
        pairs[measure.name] = (found.rows.totals[m], expected.rows.totals[m], exact)
        for h, half_life in enumerate(spec.half_lives_days):
            name = spec.decayed_name(measure.name, half_life)
            pairs[name] = (found.rows.sums[m, h], expected.rows.sums[m, h], tolerance)
    out = []
    for name, (got, want, relative) in pairs.items():
        for i in np.flatnonzero(~np.isclose(got, want, rtol=relative, atol=0))[:_SHOWN].tolist():
            out.append(f"{_words(keys[i])} {name}: {got[i]!r}, recomputed {want[i]!r}")
    return out[:_SHOWN]


def _add(values: Float, starts: NDArray[np.intp]) -> Float:
    return np.add.reduceat(values, starts) if len(starts) else values


def _keys(columns: Columns) -> list[tuple[int, int, int]]:
    parts = (columns.profiles.tolist(), columns.days.tolist(), columns.rows.items.tolist())
    return list(zip(*parts, strict=True))


def _words(key: tuple[int, int, int]) -> str:
    profile, day, of = key
    where = f"profile {profile} title {of >> ITEM_LOCATION_BITS} location {of & MAX_LOCATION}"
    return where if day == NOT_TAIL else f"{where} tail day {day}"
