"""The projection of one profile's merged rows that a caller asked for.

In: `Rows` at the query time and a `Query`. Out: an `Answer` of columns, ready for any wire.
Order of work: group (by title, or by title and location), choose the top, cut out the measures and
half-lives, present. Presented numbers are computed here and stored nowhere, because they cannot be
added again:

    EMA rate per day       S[m, h] * ln 2 / h_days
    plays per impression   S[plays, h] / S[impressions, h]

Rows come out ascending by (title, location), or, with `top`, by the chosen sum from the largest;
ties by (title, location).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from impressions.core.decay import Float, Int, rate_per_day
from impressions.core.errors import UsageError
from impressions.core.item import location_of, pack, title_of
from impressions.core.rows import Rows, grouped
from impressions.core.spec import Spec
from impressions.core.top import Top


@dataclass(frozen=True)
class Query:
    """What to answer of the rows that were selected, about one profile or many.

    Attributes:
        measures, half_lives_days: names and days of the columns wanted, in the order wanted.
        by_location: one row per (title, location) instead of one per title.
        top: see `Top`; None gives every row.
        totals, last_seen, decayed, ema_rates, plays_per_impression: which columns to make.
    """

    measures: tuple[str, ...]
    half_lives_days: tuple[int, ...]
    by_location: bool = False
    top: Top | None = None
    totals: bool = False
    last_seen: bool = False
    decayed: bool = True
    ema_rates: bool = False
    plays_per_impression: bool = False


@dataclass(frozen=True)
class Answer:
    """Columns of n rows; a column that was not asked for is None or empty.

    Attributes:
        title_ids: (n,) int64.   locations: (n,) int64 when grouped by location, else None.
        matched: rows before `top` cut them.
        last_seen_ms: (n,) int64.
        totals: measure -> (n,) float64.
        decayed, ema_rates: (measure, half_life_days) -> (n,) float64; rates are per day.
        plays_per_impression: half_life_days -> (n,) float64.
    """

    title_ids: Int
    locations: Int | None
    matched: int
    last_seen_ms: Int | None
    totals: dict[str, Float]
    decayed: dict[tuple[str, int], Float]
    ema_rates: dict[tuple[str, int], Float]
    plays_per_impression: dict[int, Float]


def measure_index(name: str, spec: Spec) -> int:
    """Position of a measure. Raises UsageError naming those there are."""
    if name not in spec.measure_names:
        raise UsageError(f"measure {name!r}: expected one of {', '.join(spec.measure_names)}")
    return spec.measure_names.index(name)


def half_life_index(half_life_days: int, spec: Spec) -> int:
    """Position of a half-life. Raises UsageError naming those there are."""
    if half_life_days not in spec.half_lives_days:
        known = ", ".join(map(str, spec.half_lives_days))
        raise UsageError(f"half-life of {half_life_days} days: expected one of {known}")
    return spec.half_lives_days.index(half_life_days)


def project(rows: Rows, query: Query, spec: Spec) -> Answer:
    """Group, then present what was asked for."""
    return present(rows if query.by_location else by_title(rows), query, spec)


def present(rows: Rows, query: Query, spec: Spec) -> Answer:
    """What was asked for of rows that are grouped already."""
    matched = len(rows)
    if query.top is not None:
        rows = rows.take(_top(rows, query.top, spec))
    columns = _columns(query.measures, query.half_lives_days, spec)
    sums = {name: rows.sums[i, j] for name, i, j in columns}
    return Answer(
        title_ids=title_of(rows.items),
        locations=location_of(rows.items) if query.by_location else None,
        matched=matched,
        last_seen_ms=rows.last_seen_ms if query.last_seen else None,
        totals={m: rows.totals[measure_index(m, spec)] for m in query.measures}
        if query.totals
        else {},
        decayed=sums if query.decayed else {},
        ema_rates={(m, h): s * rate_per_day(h) for (m, h), s in sums.items()}
        if query.ema_rates
        else {},
        plays_per_impression=_plays_per_impression(rows, query, spec),
    )


@lru_cache
def _columns(
    measures: tuple[str, ...], half_lives_days: tuple[int, ...], spec: Spec
) -> list[tuple[tuple[str, int], int, int]]:
    """Name and position of each decayed sum, measure by measure."""
    return [
        ((m, h), measure_index(m, spec), half_life_index(h, spec))
        for m in measures
        for h in half_lives_days
    ]


def by_title(rows: Rows) -> Rows:
    """Add up the locations of each title; items of the result have location 0."""
    if not len(rows):
        return rows
    titles = title_of(rows.items)
    starts = np.flatnonzero(np.concatenate(([True], titles[1:] != titles[:-1])))
    if len(starts) < len(rows):
        rows = grouped(rows, np.arange(len(rows)), starts)
    items = pack(title_of(rows.items), np.zeros(1, np.int64))
    return Rows(items, rows.last_seen_ms, rows.totals, rows.sums)


def _top(rows: Rows, top: Top, spec: Spec) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    by = rows.sums[measure_index(top.measure, spec), half_life_index(top.half_life_days, spec)]
    return np.argsort(-by, kind="stable")[: top.k]


def _plays_per_impression(rows: Rows, query: Query, spec: Spec) -> dict[int, Float]:
    if not query.plays_per_impression:
        return {}
    plays = rows.sums[measure_index("plays", spec)]
    impressions = rows.sums[measure_index("impressions", spec)]
    chosen = ((h, half_life_index(h, spec)) for h in query.half_lives_days)
    # After thousands of half-lives both sums are zero: no impression left to count per, so 0.
    return {
        h: np.divide(plays[i], impressions[i], out=np.zeros(len(rows)), where=impressions[i] > 0)
        for h, i in chosen
    }
