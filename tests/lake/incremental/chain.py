"""A lake to which time and events are added, compacted again and again; what its runs say."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from batch import compact as compaction
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from batch.jobs.tasks import Runner
from batch.lake import generations, tables
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from impressions.terminal.report import start_run
from oracle import naive
from tests.compare import differences
from tests.integration.conftest import Lake
from tests.integration.raw_events import CUTOVER_MS, edges, ema_rows, event, write_closed
from tests.tolerance import FLOAT64

SEED = 20261130
WEEK_MS = 7 * DAY_MS
SHARDS = 4


def drawn(rng: random.Random, low_ms: int, high_ms: int, count: int) -> list[Any]:
    """Events of 60 profiles ingested on some days of [low_ms, high_ms): late ones, early ones,
    titles that are seen for some weeks and then no more."""
    events, apart_ms = [], 3 * DAY_MS if high_ms - low_ms < 60 * DAY_MS else 11 * DAY_MS
    for _ in range(count):
        ingest_ms = rng.choice(range(low_ms, high_ms, apart_ms))
        ingest_ms += rng.randrange(min(DAY_MS, high_ms - ingest_ms))
        late_ms = rng.choice(
            [rng.randrange(-299_000, 1), rng.randrange(DAY_MS), rng.randrange(337 * DAY_MS)]
        )
        season = ingest_ms // (40 * DAY_MS) % 5
        of = event(
            season * 10 + rng.randint(1, 6), ingest_ms - late_ms, int(rng.random() < 0.3),
            round(rng.expovariate(0.3), 3) * (rng.random() < 0.8), rng.randint(0, 2),
        )  # fmt: skip
        events.append((rng.randint(101, 160), of, ingest_ms))
    return events


class Chain:
    """A lake to which time and events are added, compacted again and again. A slot is a file of
    all shards, or a file each in the `old` layout."""

    def __init__(
        self, home: Path, slot_seconds: int = 86_400, count: int = 900, *, old: bool = False,
        shards: int = SHARDS,
    ):  # fmt: skip
        self.rng, self.old = random.Random(SEED), old
        settings = Settings(home=home, partitions=shards, slot_seconds=slot_seconds)
        self.lake: Any = Lake(settings, None)  # type: ignore[arg-type]
        self.now_ms = CUTOVER_MS
        events = [*edges(), *drawn(self.rng, CUTOVER_MS - 380 * DAY_MS, CUTOVER_MS, count)]
        self.events = [row for row in events if row[2] < CUTOVER_MS]
        write_closed(self.lake, self.events, duplicates=self.events[::9], old=old)

    def goes_on(self, by_ms: int, count: int = 60) -> None:
        """Time passes, and so many events come."""
        until_ms = self.now_ms + by_ms
        more = drawn(self.rng, self.now_ms, until_ms, count) if by_ms else []
        self.add(more, until_ms)
        self.now_ms = until_ms

    def add(self, events: list[Any], valid_through_ms: int = 0) -> None:
        self.events += events
        through_ms = max(valid_through_ms, self.now_ms) + DAY_MS
        write_closed(
            self.lake, events, duplicates=events[::9], valid_through_ms=through_ms, old=self.old
        )

    def compact(self, *, from_scratch: bool = False, exports: bool = False, width: int = 2) -> Any:
        runner, this = Runner(), start_run("compact")
        runner.width = width
        job = Compacting(self.lake.settings, self.now_ms, this, runner, from_scratch)
        exporting = Exporting.of(self.lake.settings, self.now_ms, this) if exports else None
        return compaction.compact(job, exporting)

    @property
    def ema(self) -> Any:
        return tables.require(self.lake.settings, tables.EMA, hint="")

    @property
    def generation(self) -> generations.Generation:
        found = generations.history(self.ema).main
        assert found is not None
        return found

    def generation_of(self, cutover_ms: int) -> generations.Generation:
        found = generations.history(self.ema).of(cutover_ms)
        assert found is not None
        return found

    def require_right(self) -> None:
        """Every row of main is the oracle's."""
        counted = [row for row in self.events if row[2] < self.now_ms]
        expected = naive.answers(counted, self.now_ms)
        assert len(expected) > 200
        assert differences(ema_rows(self.lake), expected, FLOAT64) == [], f"seed {SEED}"


def forms(outcome: Any) -> dict[str, list[int]]:
    """Form -> shards."""
    found: dict[str, list[int]] = {}
    for one in outcome.extra["forms"]:
        found.setdefault(one["form"], []).append(one["shard"])
    return found


def reasons(outcome: Any) -> set[str]:
    return {one["why"] for one in outcome.extra["forms"]}
