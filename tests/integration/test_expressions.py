"""Spark expressions with a twin in the core give what the twin gives, on seeded random rows."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from batch.canonical import time_ms
from batch.ids import content_hash, hash_id
from batch.mapping import Source
from batch.shard import shard_column
from batch.validity import counted_ms, reason
from impressions import ids
from impressions.event import Reason, check
from impressions.shard import shards_of
from impressions.spec import DAY_MS, Spec
from tests.integration.conftest import Lake

pytestmark = pytest.mark.spark

SEED = 20261115


def test_the_shard_of_a_profile(lake: Lake) -> None:
    """Random ids of all lengths, the edges, and the vectors that are pinned for Kafka."""
    from pyspark.sql import functions as F

    pick = random.Random(SEED)
    profiles = [pick.getrandbits(pick.randrange(1, 64)) for _ in range(2000)]
    profiles += [0, 1, 42, 1000, 2**40, 2**63 - 1]
    frame = lake.spark.createDataFrame([(p,) for p in profiles], "p bigint")
    for partitions in (1, 4, 64, 1000):
        found = [row[0] for row in frame.select(shard_column(F.col("p"), partitions)).collect()]
        assert found == shards_of(np.array(profiles, np.int64), partitions).tolist()


@pytest.mark.parametrize("bits", [ids.PROFILE_BITS, ids.TITLE_BITS])
def test_the_hash_of_a_string_id(lake: Lake, bits: int) -> None:
    """Any text: empty, long, not ASCII."""
    from pyspark.sql import functions as F

    pick = random.Random(SEED)
    texts = ["".join(pick.choices("aé漢😀 \x1f", k=pick.randrange(40))) for _ in range(500)]
    frame = lake.spark.createDataFrame([(t,) for t in texts], "t string")
    found = [row[0] for row in frame.select(hash_id(F.col("t"), bits)).collect()]
    assert found == [ids.hash_id(text, bits) for text in texts]
    assert len(set(found)) == len(set(texts))


def test_the_hash_of_several_columns_keeps_them_apart(lake: Lake) -> None:
    """Equal to the stated text; a null is no empty text, ("ab", "") is not ("a", "b")."""
    from pyspark.sql import functions as F

    rows = [("ab", "", 1), ("a", "b", 1), ("ab", None, 1), (None, "ab", 1), ("ab", "", None)]
    frame = lake.spark.createDataFrame(rows, "a string, b string, n bigint")
    found = [r[0] for r in frame.select(content_hash([F.col(c) for c in "abn"])).collect()]
    texts = ["".join(f"{chr(0) if v is None else v}\x1f" for v in row) for row in rows]
    assert found == [ids.hash_id(text, ids.LOG_BITS) for text in texts]
    assert len(set(found)) == len(rows)


def test_the_rule_of_validity(lake: Lake) -> None:
    """5,000 random rows around every edge: the same reason and the same counted time."""
    from pyspark.sql import functions as F

    spec, rows = Spec(), _random_events()
    frame = lake.spark.createDataFrame(
        rows,
        "profile_id bigint, title_id bigint, location bigint, event_ms bigint, ingest_ms bigint, "
        "dwell_s double",
    ).withColumns({"log_id": F.lit(None).cast("bigint"), "undecodable": F.lit(False)})
    found = frame.select(reason(spec, identified=False), counted_ms(spec)).collect()
    profile, title, location, event_ms, ingest_ms, dwell = zip(*rows, strict=True)
    integers = (np.array(c, np.int64) for c in (profile, title, location, event_ms, ingest_ms))
    reasons, counted = check(*integers, np.array(dwell), spec)
    assert [row[0] for row in found] == reasons.tolist()
    ok = reasons == Reason.OK
    assert np.array([row[1] for row in found])[ok].tolist() == counted[ok].tolist()
    assert set(reasons.tolist()) == {0, 6, 7, 8, 9, 10}


def _random_events() -> list[tuple[Any, ...]]:
    pick = random.Random(SEED)
    now_ms, minute_ms = 1_767_225_600_000, 60_000
    ages_ms = (0, -5 * minute_ms, 337 * DAY_MS)

    def event() -> tuple[Any, ...]:
        return (
            pick.choice([1, 0, 2**63 - 1] * 9 + [-1, -(2**63)]),
            pick.choice([1, 0, 2**55 - 1] * 9 + [-1, 2**55]),
            pick.choice([0, 255] * 9 + [-1, 256]),
            now_ms - pick.choice(ages_ms) + pick.randrange(-2, 3),
            now_ms,
            pick.choice([0.0, 1.5, -0.0] * 9 + [-1e-9, float("nan"), float("inf"), -float("inf")]),
        )

    return [event() for _ in range(5000)]


@pytest.mark.parametrize(
    ("values", "type_", "kind", "unit", "expected_ms"),
    [
        ([1, -1, None], "bigint", "integer", "s", [1000, -1000, None]),
        ([1999, -1, None], "bigint", "integer", "us", [1, -1, None]),
        ([2**63 - 1, -(2**63)], "bigint", "integer", "ms", [2**60, -(2**60)]),
        ([1_650_000_000.123, -0.0001], "double", "floating", "s", [1_650_000_000_123, -1]),
        ([float("nan"), float("inf"), 1e300], "double", "floating", "ms", [None, None, None]),
        (["1650000000.1239", "x", "", None], "string", "csv_text", "s",
         [1_650_000_000_123, None, None, None]),
        (["1970-01-01T00:00:01.0019Z", "1970-01-01 01:00:00+01:00", "soon"], "string", "text",
         "iso", [1001, 0, None]),
    ],
)  # fmt: skip
def test_times_are_floored_and_unreadable_ones_are_null(
    lake: Lake, values: list[Any], type_: str, kind: Any, unit: str, expected_ms: list[int | None]
) -> None:
    """Every kind of column that may hold a time; extremes saturate instead of overflowing."""
    frame = lake.spark.createDataFrame([(v,) for v in values], f"at {type_}")
    found = frame.select(time_ms(Source("at", unit), {"at": kind})).collect()
    assert [row[0] for row in found] == expected_ms
