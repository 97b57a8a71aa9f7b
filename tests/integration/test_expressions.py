"""Spark expressions with a twin in the core give what the twin gives, on seeded random rows."""

from __future__ import annotations

import random

import numpy as np
import pytest

from batch.compacting.plain_sums import plain_sums
from batch.rules.aggregate import aggregate, measures
from impressions.compiled.sums import Impressions
from impressions.core.contribution import contributions
from impressions.core.spec import DAY_MS, Adds, Measure, Spec
from tests.integration.conftest import Lake

pytestmark = pytest.mark.spark

SEED = 20261115


def test_what_an_impression_adds_to_each_measure(lake: Lake) -> None:
    """Also where a spec has the measures in another order, under other names."""
    other = Spec(
        measures=(
            Measure("seconds", unit="seconds", integral=False, adds=Adds.DWELL_S),
            Measure("seen", unit="count", integral=True, adds=Adds.ONE),
            Measure("watched", unit="count", integral=True, adds=Adds.PLAYED),
        )
    )
    pick = random.Random(SEED)
    events = [(pick.random() < 0.5, pick.expovariate(0.1)) for _ in range(500)]
    frame = lake.spark.createDataFrame(events, "played boolean, dwell_s double")
    played, dwell_s = (np.array(column) for column in zip(*events, strict=True))
    for spec in (Spec(), other):
        rows = frame.select(*(x.alias(name) for name, x in measures(spec).items())).collect()
        added = contributions({"played": played, "dwell_s": dwell_s}, len(events), spec)
        assert np.array([list(row) for row in rows], np.float64).T.tolist() == added.tolist()


def test_an_event_time_counts_in_whole_milliseconds(lake: Lake) -> None:
    """Events 1 us before, at and 1 us after a millisecond: sums and last seen as without Spark."""
    spec, cutover_ms = Spec(), 20_772 * DAY_MS
    event_us = [(cutover_ms - 3_600_000) * 1000 + digits for digits in (-1, 0, 1)]
    columns = "shard int, profile_id bigint, title_id bigint, location int, event_us bigint, "
    frame = lake.spark.createDataFrame(
        [(0, 1, title, 0, us, False, True, 2.5) for title, us in enumerate(event_us)],
        columns + "duplicate boolean, played boolean, dwell_s double",
    ).selectExpr("*", "timestamp_micros(event_us) AS event_time")
    found = aggregate(frame, cutover_ms, spec).orderBy("title_id").collect()
    n = len(event_us)
    values = np.array([[2.5 if c == "dwell_s" else 1.0] * n for c in spec.added_columns])
    of = Impressions(
        np.full(n, 1), np.arange(n), np.zeros(n, np.int32), np.array(event_us),
        np.zeros(n, bool), values,
    )  # fmt: skip
    rows = plain_sums(of, cutover_ms, spec).rows
    assert [round(row["last_seen"].timestamp() * 1000) for row in found] == (
        rows.last_seen_ms.tolist()
    )
    name = spec.decayed_name("impressions", 1)
    assert [row[name] for row in found] == pytest.approx(rows.sums[0, 0].tolist(), rel=1e-12)
