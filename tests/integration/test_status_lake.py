"""What status reads of the tables is what Spark says of the same rows."""

from __future__ import annotations

import pytest

from batch.compact import compact
from batch.compacting.job import Compacting
from batch.lake import tables
from batch.status.lake import read_lake
from impressions.terminal.report import start_run
from tests.integration.conftest import Lake
from tests.integration.raw_events import CUTOVER_MS, DATE, edges, event, write_closed

pytestmark = pytest.mark.spark


def agrees(lake: Lake) -> None:
    """Rows and undecided rows of each slot, counted by Spark."""
    name = tables.full_name(lake.settings, tables.RAW)
    counted = lake.spark.sql(
        "SELECT unix_millis(ingest_slot) AS slot, count(*) AS rows, "
        f"count_if(duplicate IS NULL) AS undecided FROM {name} GROUP BY ALL"
    ).collect()
    found = read_lake(lake.settings)
    assert {slot: (s.rows, s.undecided) for slot, s in found.slots.items()} == {
        row["slot"]: (row["rows"], row["undecided"]) for row in counted
    }
    assert len(found.slots) >= 5
    assert {slot for slot, held in found.slots.items() if held.undecided} == found.due


def test_slots_generations_and_late_rows(empty: Lake) -> None:
    """A generation is computed, then a row lands in one of its slots and one behind its cutover."""
    write_closed(empty, edges())
    agrees(empty)
    settings = empty.settings.model_copy(
        update={"audits": empty.settings.audits.model_copy(update={"sample_profiles": 0})}
    )
    outcome = compact(Compacting(settings, CUTOVER_MS, start_run("compact")))
    (generation,) = read_lake(settings).generations
    assert (generation.generation, generation.is_main, generation.lacks) == (DATE, True, 0)
    assert generation.entries == outcome.counts["entries"]

    later = [(7, event(1, ms), ms) for ms in (CUTOVER_MS - 60_000, CUTOVER_MS + 60_000)]
    write_closed(empty, later)
    agrees(empty)
    (generation,) = read_lake(settings).generations
    assert (generation.generation, generation.lacks) == (DATE, 1)
