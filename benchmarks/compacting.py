"""What the compact stage compares: our aggregation, the peers', and whether their sums agree.

A sample is some profiles in the form of oracle/naive.py: {(profile, title, location): numbers}.
What the raw table holds of them, added up by the oracle, is what every contestant must have.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.lake import Lake
from benchmarks.peers.installed import python_of
from benchmarks.world import CUTOVER_MS, SPEC
from impressions.core import window
from impressions.core.spec import DAY_MS
from oracle import naive
from tests.compare import differences
from tests.tolerance import FLOAT64

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Sample = dict[tuple[int, int, int], dict[Any, float]]

SAMPLED_PROFILES = 3
_DUCKDB = Path(__file__).parent / "peers" / "duckdb_job.py"


@dataclass(frozen=True)
class Window:
    """The window of the lake: its rows, its files, and what the sample must be."""

    rows: DataFrame
    files: list[str]
    profiles: list[int]
    expected: Sample


def window_of(lake: Lake) -> Window:
    """All slots of the lake are of the window; the oracle adds up the sample."""
    rows = lake.spark.table(lake.raw)
    paths = lake.spark.sql(f"SELECT file_path FROM {lake.raw}.files").collect()
    files = [row[0].removeprefix("file:") for row in paths]
    profiles = [row[0] for row in rows.select("profile_id").limit(SAMPLED_PROFILES).collect()]
    return Window(rows, files, profiles, oracle(rows, profiles))


def oracle(raw: DataFrame, profiles: list[int]) -> Sample:
    """What oracle/naive.py answers at the cutover for the rows of these profiles."""
    from pyspark.sql import functions as F

    events = raw.where(F.col("profile_id").isin(profiles) & ~F.col("duplicate")).select(
        "profile_id", F.col("title_id").alias("title"), "location",
        F.unix_millis("event_time").alias("event_ms"), F.col("played").cast("int").alias("played"),
        "dwell_s", F.unix_millis("ingest_time").alias("ingest_ms"),
    )  # fmt: skip
    applied = [(row["profile_id"], row.asDict(), row["ingest_ms"]) for row in events.collect()]
    return naive.answers(applied, CUTOVER_MS)  # type: ignore[no-untyped-call, no-any-return]


def in_spark(made: DataFrame, profiles: list[int]) -> Sample:
    """The sample out of a job's rows, tail days of an entry added up."""
    from pyspark.sql import functions as F

    numbers = [*SPEC.measure_names, *SPEC.decayed_names]
    added = (
        made.where(F.col("profile_id").isin(profiles))
        .groupBy("profile_id", "title_id", "location")
        .agg(
            F.max(F.unix_millis("last_seen")).alias("last_seen_ms"),
            *(F.sum(name).alias(name) for name in numbers),
        )
    )
    return as_sample([row.asDict() for row in added.collect()])


def as_sample(rows: list[dict[str, Any]]) -> Sample:
    """Rows with plainly named columns, keyed as the oracle keys them."""
    decayed = {
        (m, h): SPEC.decayed_name(m, h) for m in SPEC.measure_names for h in SPEC.half_lives_days
    }
    plain = {name: name for name in ("last_seen_ms", *SPEC.measure_names)}
    return {
        (row["profile_id"], row["title_id"], row["location"]): {
            key: row[name] for key, name in (plain | decayed).items()
        }
        for row in rows
    }


def require_equal(whose: str, found: Sample, expected: Sample) -> None:
    """Stop the run where sums differ from the oracle's: a wrong answer has no speed."""
    wrong = differences(found, expected, FLOAT64)
    if wrong or not expected:
        raise AssertionError(f"{whose}: {len(wrong)} of {len(expected)} differ: {wrong[:3]}")


def duckdb(of: Window) -> dict[str, Any]:
    """One run of the DuckDB peer, its sums checked. Raises PeerMissing."""
    tail = window.tail_days(CUTOVER_MS, SPEC)
    asked = {
        "files": of.files,
        "cutover_ms": CUTOVER_MS,
        "first_ms": tail.start * DAY_MS,
        "tail_end_ms": tail.stop * DAY_MS,
        "half_lives_days": SPEC.half_lives_days,
        "profiles": of.profiles,
        "threads": len(os.sched_getaffinity(0)),
    }
    done = subprocess.run(
        [python_of("duckdb"), _DUCKDB], input=json.dumps(asked), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"duckdb: {done.stderr.strip()[-600:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    require_equal("DuckDB", as_sample(answer["rows"]), of.expected)
    return answer
