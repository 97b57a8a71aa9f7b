"""What status reads of the tables without Spark is what the jobs read of them with Spark."""

from __future__ import annotations

import pytest

from batch import closing, snapshots, tables
from batch.compact import Job, compact
from batch.report import start_report
from batch.stale import stale_generations
from local.status_lake import read_lake
from tests.integration.conftest import Lake
from tests.integration.raw_events import CUTOVER_MS, DATE, edges, event, write_closed

pytestmark = pytest.mark.spark


def agrees(lake: Lake) -> None:
    """The same state of raw, the same slots."""
    found = read_lake(lake.settings)
    state = snapshots.state(lake.spark, tables.full_name(lake.settings, tables.RAW))
    assert found.state == state
    assert found.slots == closing.slot_states(lake.spark, lake.settings, state.snapshot_id)
    assert len(found.slots) >= 5


def test_slots_generations_and_late_rows(empty: Lake) -> None:
    """A generation is computed, then a row lands in one of its slots and one behind its cutover."""
    write_closed(empty, edges())
    agrees(empty)
    settings = empty.settings.model_copy(
        update={"audits": empty.settings.audits.model_copy(update={"sample_profiles": 0})}
    )
    report = compact(Job.of(empty.spark, settings, CUTOVER_MS, start_report("compact", {})))
    (generation,) = read_lake(settings).generations
    assert (generation.generation, generation.is_main, generation.lacks) == (DATE, True, 0)
    assert generation.entries == report.finish().counts["entries"]

    later = [(7, event(1, ms), ms) for ms in (CUTOVER_MS - 60_000, CUTOVER_MS + 60_000)]
    write_closed(empty, later)
    agrees(empty)
    (generation,) = read_lake(settings).generations
    (stale,) = stale_generations(empty.spark, settings)
    assert (generation.generation, generation.lacks) == (stale.generation, stale.rows) == (DATE, 1)
