"""Raw's layout: files follow bytes, and tables of the earlier layout give the same generation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch.close import run_close
from batch.closing import rewrite
from batch.closing.request import Request
from batch.closing.tasks import Layout, shares
from batch.compacting import part, planning
from batch.compacting.incremental.forms import forms_of
from batch.compacting.job import Compacting
from batch.compacting.readiness import window_of_main
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import opened_files, row_groups, snapshots, tables
from batch.lake.columns import RAW_COLUMNS
from batch.lake.data_file_rows import Keys, rows_of
from batch.lake.data_files import ALL_SHARDS, LiveFile, live_files
from batch.lake.locations import local_path
from batch.lake.sort_order import KEYS
from impressions.clock import now_ms
from impressions.core.errors import CorruptData
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, start_run
from oracle import naive
from tests.compare import differences
from tests.integration.conftest import Lake
from tests.integration.raw_events import CUTOVER_MS, counted, ema_rows, event, write_closed
from tests.lake.test_generation import EVENTS, run
from tests.tolerance import FLOAT64

SLOT_MS = CUTOVER_MS - 3 * DAY_MS


def lake_of(home: Path, partitions: int = 4) -> Any:
    return Lake(Settings(home=home, partitions=partitions), None)  # type: ignore[arg-type]


def close(lake: Any, again: bool = False, slots: tuple[int, ...] = ()) -> Outcome:
    context = Context(lake.settings, start_run("close"), Runner(), now_ms)
    return run_close(context, Request(slots=slots, again=again))


def files(lake: Any) -> list[LiveFile]:
    raw = tables.require(lake.settings, tables.RAW, hint="")
    return live_files(raw, snapshots.main_id(raw))


def per_slot(lake: Any) -> list[int]:
    return sorted(Counter(file.slot_ms for file in files(lake)).values())


def keys_of(file: LiveFile) -> list[tuple[Any, ...]]:
    read = pq.read_table(local_path(file.path), columns=list(KEYS), partitioning=None)
    return [tuple(row.values()) for row in read.to_pylist()]


def content(lake: Any) -> Counter[str]:
    """The rows of raw, whatever files they lie in."""
    raw = tables.require(lake.settings, tables.RAW, hint="")
    columns = [name for name in RAW_COLUMNS if name != "duplicate"]
    found: Counter[str] = Counter()
    for file in files(lake):
        for rows in rows_of(file, raw.io, raw.schema(), columns):
            found.update(map(repr, rows.to_pylist()))
    return found


_EVENTS = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 2), st.integers(0, 12)), min_size=1, max_size=60
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_EVENTS, st.integers(1, 6), st.integers(1_000, 40_000), st.booleans())
def test_any_rows_are_closed_into_sorted_files_of_about_the_target(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Any], shards: int, target: int, old: bool,
) -> None:  # fmt: skip
    """Of any profiles and days, any P and target size; row groups end at shards."""
    lake = lake_of(tmp_path_factory.mktemp("lake"), shards)
    rows = [
        (profile, event(n % 5 + 1, SLOT_MS - late * DAY_MS), SLOT_MS + day * DAY_MS)
        for n, (profile, day, late) in enumerate(drawn)
    ]
    write_closed(lake, rows, undecided=True, old=old)
    before = content(lake)
    size_bytes = Counter[int]()
    for file in files(lake):
        size_bytes[file.slot_ms] += file.data.file_size_in_bytes
    layout = Layout(shards, target, 1 << 20)
    with (
        patch.object(rewrite, "layout_of", lambda *_: layout),
        patch.object(row_groups, "LEAST_ROWS", 4), patch.object(row_groups, "MOST_ROWS", 10),
    ):  # fmt: skip
        close(lake)
    assert content(lake) == before
    found = files(lake)
    for file in found:
        ids = keys_of(file)
        assert ids == sorted(ids)
        assert (ids[0][0], ids[-1][0] + 1) == file.shards
        _check_row_groups(file, [row[0] for row in ids])
    for slot, most in size_bytes.items():
        parts = min(-(-most // target), shards)
        # One more for rows of events that are weeks old; or two where a part outgrew the target.
        assert len([file for file in found if file.slot_ms == slot]) <= 3 * parts


def _check_row_groups(file: LiveFile, shards: list[int]) -> None:
    metadata, start = pq.read_metadata(local_path(file.path)), 0
    for number in range(metadata.num_row_groups):
        end = start + metadata.row_group(number).num_rows
        assert end - start <= 10
        at_edge = end == len(shards) or shards[end - 1] != shards[end]
        assert at_edge or (end - start == 10 and len(set(shards[start:end])) == 1)
        start = end


def test_a_small_slot_is_one_file_whatever_p_is(tmp_path: Path) -> None:
    """64 shards, three slots of 100 rows."""
    lake = lake_of(tmp_path, 64)
    rows = [(n, event(1, SLOT_MS), SLOT_MS + n % 3 * DAY_MS) for n in range(1, 301)]
    write_closed(lake, rows, undecided=True, old=True)
    assert len(files(lake)) > 100
    close(lake)
    assert per_slot(lake) == [1, 1, 1]


def test_a_large_slot_is_as_many_files_as_its_bytes_need() -> None:
    """Each of about the same number of shards; not more than there are shards."""
    assert shares(8, 1) == [ALL_SHARDS]
    assert shares(8, 3) == [(0, 2), (2, 5), (5, 1 << 31)]
    assert shares(2, 9) == [(0, 1), (1, 1 << 31)]


@pytest.fixture(scope="module")
def expected() -> Any:
    return naive.answers(counted(EVENTS), CUTOVER_MS)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout", ["old", pytest.param("mixed", marks=pytest.mark.representative), "rewritten"]
)
def test_tables_of_every_layout_give_the_same_generation(
    tmp_path: Path, expected: Any, layout: str
) -> None:
    """A table of an earlier version; one in which newer slots were written since, also into slots
    that are there; and one whose slots were closed again."""
    lake = lake_of(tmp_path)
    half = len(EVENTS) // 2 if layout == "mixed" else len(EVENTS)
    again = [] if layout == "rewritten" else EVENTS[:half:9]  # a close decides by log ids
    write_closed(lake, EVENTS[:half], duplicates=again, old=True)
    if layout == "mixed":
        write_closed(lake, EVENTS[half:], duplicates=EVENTS[half::9])
    if layout == "rewritten":
        some = sorted({file.slot_ms for file in files(lake)})[::2]
        whole = content(lake)
        done = close(lake, again=True, slots=tuple(some))
        assert done.counts["slots"] >= len(some)
        assert content(lake) == whole
    kinds = {len(file.partition) for file in files(lake)}
    assert kinds == ({2} if layout == "old" else {1, 2})
    run(lake, exports=True)
    assert differences(ema_rows(lake), expected, FLOAT64) == []


def test_a_table_of_the_old_layout_is_rewritten_as_its_slots_close(tmp_path: Path) -> None:
    """The new partitioning is that of files to come; those that are there are read as they are."""
    lake = lake_of(tmp_path)
    rows = [(n, event(1, SLOT_MS), SLOT_MS + n % 2 * DAY_MS) for n in range(1, 41)]
    write_closed(lake, rows, old=True)
    assert per_slot(lake) == [4, 4]
    close(lake, again=True, slots=(SLOT_MS + DAY_MS,))
    assert per_slot(lake) == [1, 4]
    raw = tables.require(lake.settings, tables.RAW, hint="")
    assert [field.name for field in raw.spec().fields] == ["ingest_slot"]
    names = [raw.schema().find_column_name(field.source_id) for field in raw.sort_order().fields]
    assert names == list(KEYS)
    assert not close(lake).changed


SKEWED = [
    (profile, event(title, SLOT_MS - title * 60_000, title % 2), SLOT_MS + title % 5 * DAY_MS // 2)
    for profile in range(1, 161)
    for title in range(1, 4 if shard_of(profile, 8) else 31)
]
"""Of eight shards; each profile of shard 0 has ten times the events of others."""


def test_a_shard_of_ten_times_the_median_is_cut_into_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows share files with those of other shards; the generation equals the oracle's."""
    lake = lake_of(tmp_path, 8)
    write_closed(lake, SKEWED)
    of_shard = Counter(shard_of(profile, 8) for profile, _, _ in SKEWED)
    assert of_shard[0] > 6 * sorted(of_shard.values())[4]
    monkeypatch.setattr(planning, "LEAST_ROWS", 100)
    raw = tables.require(lake.settings, tables.RAW, hint="")
    [ema] = tables.create_if_missing(lake.settings, tables.EMA)
    job = Compacting(lake.settings, CUTOVER_MS, start_run("compact"), Runner())
    window = window_of_main(job, raw)
    planned = forms_of(job, window, raw, ema, None)
    parts = planning.parts_of(job, window, raw, ema, None, planned)
    ranges = Counter(part.shard for part in parts)
    assert ranges[0] >= 3
    assert {ranges[shard] for shard in range(1, 8)} == {1}
    done = run(lake, exports=True)
    assert done.extra["parts"] == len(parts)
    assert differences(ema_rows(lake), naive.answers(counted(SKEWED), CUTOVER_MS), FLOAT64) == []


def test_a_task_of_many_shards_opens_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 shards in two slots: two files."""
    lake = lake_of(tmp_path, 16)
    rows = [(n, event(1, SLOT_MS), SLOT_MS + n % 2 * DAY_MS) for n in range(1, 200)]
    write_closed(lake, rows)
    raw = tables.require(lake.settings, tables.RAW, hint="")
    [ema] = tables.create_if_missing(lake.settings, tables.EMA)
    job = Compacting(lake.settings, CUTOVER_MS, start_run("compact"), Runner())
    window = window_of_main(job, raw)
    planned = forms_of(job, window, raw, ema, None)
    parts = planning.parts_of(job, window, raw, ema, None, planned)
    [task] = planning.tasks_of(parts, job.runner.width)
    opened: list[str] = []
    whole = opened_files.open_parquet
    monkeypatch.setattr(
        opened_files, "open_parquet", lambda path, *more: opened.append(path) or whole(path, *more)
    )
    made = part.make_all(task)
    assert sorted(opened) == sorted(file.path for file in files(lake))
    assert len(opened) == 2
    assert sum(one.facts.read for one in made) == len(rows)
    assert {one.shard for one in made if one.facts.read} == set(range(16))


def test_row_groups_of_several_shards_that_are_not_sorted_are_refused(tmp_path: Path) -> None:
    """As another engine may write them."""
    path = tmp_path / "1.parquet"
    columns = {"shard": [1, 0], "profile_id": [1, 2]}
    pq.write_table(pa.table(columns), path)
    opened = opened_files.Opened({}, ["profile_id"], 0)
    with pytest.raises(CorruptData, match=r"1\.parquet: shards do not ascend"):
        opened.of_shard(opened.look(str(path)), 0, Keys((0, 1)))
