"""A generation computed by tasks of this process: the same rows, however the work is cut."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batch.compact import compact
from batch.compacting import part, planning
from batch.compacting.incremental.forms import forms_of
from batch.compacting.job import Compacting
from batch.export import export
from batch.exporting import profile_packing, sst_files
from batch.exporting.job import Exporting
from batch.jobs.tasks import Runner
from batch.lake import snapshots, tables
from batch.lake.columns import ema_columns
from batch.lake.data_file_rows import rows_of
from batch.lake.data_file_writer import Files
from batch.lake.data_files import live_files
from batch.lake.locations import local_path
from batch.lake.opened_files import Opened
from impressions.core.errors import CorruptData, ImpressionsError
from impressions.core.spec import DAY_MS
from impressions.formats import manifest as manifests
from impressions.settings.model import Settings
from impressions.terminal.report import start_run
from oracle import naive
from tests.compare import differences
from tests.integration.conftest import Lake
from tests.integration.raw_events import (
    CUTOVER_MS,
    DATE,
    counted,
    edges,
    ema_rows,
    event,
    write_closed,
)
from tests.tolerance import FLOAT64

SEED = 20261129
DAYS_BEFORE = (363, 350, 338, 100, 3, 1)


def drawn(seed: int) -> list[Any]:
    """The edges, and random events of 40 profiles in six slots of the year."""
    rng, events = random.Random(seed), edges()
    for profile in range(101, 141):
        for _ in range(rng.randint(1, 40)):
            slot_ms = CUTOVER_MS - rng.choice(DAYS_BEFORE) * DAY_MS
            ingest_ms = slot_ms + rng.randrange(DAY_MS)
            event_ms = ingest_ms - int(rng.expovariate(1 / DAY_MS))
            of = event(rng.randint(1, 6), event_ms, int(rng.random() < 0.3), rng.random() * 9)
            events.append((profile, of | {"location": rng.randint(0, 2)}, ingest_ms))
    return events


EVENTS = drawn(SEED)


def lake_in(home: Path) -> Any:
    """Raw in 4 shards, some of it sent twice; no Spark."""
    lake: Any = Lake(Settings(home=home, partitions=4), None)  # type: ignore[arg-type]
    write_closed(lake, EVENTS, duplicates=EVENTS[::9])
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Published and exported in one pass."""
    made = lake_in(tmp_path_factory.mktemp("lake"))
    run(made, exports=True)
    return made


def run(lake: Any, *, exports: bool = False, width: int = 2, cutover_ms: int = CUTOVER_MS) -> Any:
    runner, this = Runner(), start_run("compact")
    runner.width = width
    exporting = Exporting.of(lake.settings, cutover_ms, this) if exports else None
    return compact(Compacting(lake.settings, cutover_ms, this, runner), exporting)


def rows(lake: Any) -> list[tuple[Any, ...]]:
    """All rows of the published generation, every bit of them."""
    ema = tables.require(lake.settings, tables.EMA, hint="")
    columns = list(ema_columns(lake.settings.spec))
    found = [
        tuple(row.values())
        for file in live_files(ema, snapshots.main_id(ema))
        for table in rows_of(file, ema.io, ema.schema(), columns)
        for row in table.to_pylist()
    ]
    return sorted(found, key=repr)


def manifest(lake: Any) -> manifests.Manifest:
    path = lake.settings.home_dir / "generations" / DATE / "manifest.json"
    return manifests.decode(path.read_bytes())


def test_rows_equal_the_oracle(lake: Any) -> None:
    """Every (profile, title, location): late, ahead, at the window's and the tail's edges."""
    expected = naive.answers(counted(EVENTS), CUTOVER_MS)
    assert len(expected) > 300
    assert differences(ema_rows(lake), expected, FLOAT64) == [], f"seed {SEED}"


def test_files_of_a_shard_are_sorted_and_say_so(lake: Any) -> None:
    ema = tables.require(lake.settings, tables.EMA, hint="")
    keys = ("profile_id", "title_id", "location", "tail_day")
    files = live_files(ema, snapshots.main_id(ema))
    assert [file.partition["shard"] for file in sorted(files, key=lambda f: f.partition["shard"])]
    for file in files:
        assert file.data.sort_order_id == ema.metadata.default_sort_order_id
        read = pq.read_table(local_path(file.path), columns=list(keys), partitioning=None)
        found = [tuple("" if v is None else v for v in row.values()) for row in read.to_pylist()]
        assert [repr(row) for row in found]
        ordered = sorted(found, key=lambda row: (*row[:3], str(row[3])))
        assert found == ordered


def test_doubles_have_no_dictionary(lake: Any) -> None:
    """They hardly repeat; a dictionary of them costs time and bytes."""
    ema = tables.require(lake.settings, tables.EMA, hint="")
    for file in live_files(ema, snapshots.main_id(ema)):
        group = pq.ParquetFile(local_path(file.path)).metadata.row_group(0)
        encoded = {
            group.column(i).path_in_schema: group.column(i).has_dictionary_page
            for i in range(group.num_columns)
        }
        assert not any(encoded[name] for name in lake.settings.spec.decayed_names)
        assert encoded["profile_id"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(
            lambda patch: patch.setattr(planning, "LEAST_ROWS", 20),
            id="ranges",
            marks=pytest.mark.representative,
        ),
        pytest.param(lambda patch: patch.setattr(part, "_LEAST_BATCH", 1), id="steps"),
    ],
)
def test_ranges_and_memory_change_no_bit(
    lake: Any, cut: Callable[[pytest.MonkeyPatch], None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Shards cut into ranges of profiles; and read a row of each file at a time."""
    other = lake_in(tmp_path)
    cut(monkeypatch)
    if part._LEAST_BATCH == 1:
        monkeypatch.setattr(part, "ROW_BYTES", 1 << 40)
    done = run(other, exports=True, width=8)
    if planning.LEAST_ROWS == 20:
        assert done.extra["parts"] > 2 * 4
    assert rows(other) == rows(lake)
    assert manifest(other).profiles == manifest(lake).profiles
    # Packed again from the table, whatever the ranges were: the same content, or refused.
    this = start_run("export")
    again = export(Exporting.of(other.settings, CUTOVER_MS, this))
    assert again.extra["status"] == "already exported"


def test_a_step_holds_as_many_rows_as_memory_allows(
    lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the rows of one profile, however many they are."""
    settings = lake.settings.model_copy(
        update={"compact": lake.settings.compact.model_copy(update={"memory_mb": 64})}
    )
    job = Compacting(settings, CUTOVER_MS, start_run("compact"))
    assert job.task_bytes == (64 << 20) // job.runner.width
    raw = tables.require(settings, tables.RAW, hint="")
    ema = tables.require(settings, tables.EMA, hint="")
    from batch.compacting.readiness import window_of_main

    window = window_of_main(job, raw)
    planned = forms_of(job, window, raw, ema, None)
    [one, *_] = planning.parts_of(job, window, raw, ema, None, planned)
    small = replace(one, memory_bytes=part.ROW_BYTES * len(one.paths) * 2)
    monkeypatch.setattr(part, "_LEAST_BATCH", 1)
    steps = [len(step.profiles) for step in part._read(small, settings.spec)]
    largest = max(
        sum(row[0] == profile and row[2] < CUTOVER_MS for row in [*EVENTS, *EVENTS[::9]])
        for profile in {row[0] for row in EVENTS}
    )
    assert len(steps) > 5
    assert max(steps) <= 2 * len(one.paths) + largest


def test_export_alone_gives_the_files_of_the_pass(lake: Any, tmp_path: Path) -> None:
    settings = lake.settings.model_copy(update={"generations_uri": str(tmp_path)})
    export(Exporting.of(settings, CUTOVER_MS, start_run("export")))
    there = manifests.decode((tmp_path / DATE / "manifest.json").read_bytes())
    assert [(f.shard, f.min_key, f.rows, f.digest) for f in there.files] == [
        (f.shard, f.min_key, f.rows, f.digest) for f in manifest(lake).files
    ]
    assert there.entries == manifest(lake).entries


def test_the_same_date_with_export_exports_what_is_published(tmp_path: Path) -> None:
    """Killed between the two, or exported later: one line for the machine."""
    other = lake_in(tmp_path)
    assert run(other).extra["status"] == "published"
    again = run(other, exports=True)
    assert (again.extra["status"], again.changed) == ("already published", True)
    assert again.extra["export"]["status"] == "written"
    assert manifest(other).entries == len(rows(other))
    assert not run(other, exports=True).changed


@pytest.mark.slow
def test_a_task_that_fails_leaves_no_file_and_no_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four shards, which share a task, the third fails: only its own is left."""
    other = lake_in(tmp_path)

    whole = part.make

    def failing(task: part.Part, opened: Opened) -> part.Made:
        made = whole(task, opened)
        if task.shard == 2:
            raise OSError("the disk is full")
        return made

    with monkeypatch.context() as patch:
        patch.setattr(part, "make", failing)
        with pytest.raises(OSError, match="the disk is full"):
            run(other)
    ema = tables.require(other.settings, tables.EMA, hint="")
    assert snapshots.refs(ema) == {}
    left = {p.parent.name for p in (tmp_path / "warehouse").rglob("ema/data/**/*.parquet")}
    assert left <= {"shard=2"}
    assert run(other).extra["status"] == "published"


def test_rows_that_raw_lost_are_missed(tmp_path: Path) -> None:
    """A file of raw was replaced by a shorter one: its metadata say what must be read."""
    other = lake_in(tmp_path)
    raw = tables.require(other.settings, tables.RAW, hint="")
    first_ms = CUTOVER_MS - 360 * DAY_MS
    files = live_files(raw, snapshots.main_id(raw))
    inside = [f for f in files if first_ms < f.slot_ms < CUTOVER_MS]
    path = local_path(max(inside, key=lambda f: f.data.record_count).path)
    assert path is not None
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    with pytest.raises(CorruptData, match=r"rows of raw were read .* expected") as refused:
        run(other)
    assert refused.value.reason == "rows_differ"


def test_a_null_in_raw_is_refused_by_name(tmp_path: Path) -> None:
    lake: Any = Lake(Settings(home=tmp_path, partitions=4), None)  # type: ignore[arg-type]
    write_closed(lake, [(1, event(1, CUTOVER_MS - DAY_MS), CUTOVER_MS - DAY_MS)])
    raw = tables.require(lake.settings, tables.RAW, hint="")
    [file] = live_files(raw, snapshots.main_id(raw))
    path = local_path(file.path)
    assert path is not None
    table = pq.read_table(path, partitioning=None)
    at = table.column_names.index("title_id")
    import pyarrow as pa

    pq.write_table(table.set_column(at, table.schema.field(at), pa.nulls(1, pa.int64())), path)
    with pytest.raises(ImpressionsError, match="1 nulls in title_id, expected 0"):
        run(lake)


def test_rows_that_are_in_no_file_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made and counted, and then not written: the files say how many rows they have."""
    other, write = lake_in(tmp_path), Files.write
    monkeypatch.setattr(Files, "write", lambda files, rows: write(files, rows.slice(1)))
    with pytest.raises(CorruptData, match=r"rows are in its files, expected the .* made"):
        run(other)
    assert snapshots.refs(tables.require(other.settings, tables.EMA, hint="")) == {}


def test_rows_that_are_in_no_sst_file_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest is compared with what was packed, not with what was made."""
    other = lake_in(tmp_path)
    monkeypatch.setattr(sst_files, "pack", lambda *given: list(profile_packing.pack(*given))[:-1])
    with pytest.raises(ImpressionsError, match="rows of the table were written, expected") as found:
        run(other, exports=True)
    assert found.value.reason == "incomplete_export"
    assert not list((tmp_path / "generations").rglob("manifest.json"))


def test_a_profile_in_two_steps_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows would be there twice, in steps that are each without fault."""
    other, read = lake_in(tmp_path), part._read
    monkeypatch.setattr(part, "_read", lambda *given: [*read(*given), *read(*given)])
    with pytest.raises(CorruptData, match="expected whole profiles, ascending"):
        run(other)
