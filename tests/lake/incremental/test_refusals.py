"""What damages an incremental generation is found, and nothing of it is published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.compacting import part
from batch.compacting.incremental import steps
from batch.lake import snapshots, tables
from batch.lake.data_files import live_files
from batch.lake.locations import local_path
from impressions.core.errors import AuditFailed, CorruptData
from impressions.process.failpoint import VARIABLE, InjectedFailure, hits
from tests.lake.incremental.chain import Chain


@pytest.mark.parametrize("times", [0, 2], ids=["lost", "read twice"])
def test_a_row_of_a_new_slot_that_is_not_read_once_is_found(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Of a file that has rows of several shards: each shard's rows are known."""
    real, damaged = steps._step, []

    def step(compiled: Any, pieces: Any, *more: Any) -> Any:
        *others, new = pieces
        if new is not None:
            damaged.append(1)
            new = pa.concat_batches([*[new.slice(0, 1)] * times, new.slice(1)])
        return real(compiled, [*others, new], *more)

    monkeypatch.setattr(steps, "_step", step)
    before = chain.generation
    with pytest.raises(CorruptData, match=r"shard \d: .* rows of raw were read") as refused:
        chain.compact()
    assert damaged
    assert refused.value.reason == "rows_differ"
    assert chain.generation == before


def test_rows_that_a_file_of_several_shards_lost_are_missed(chain: Chain) -> None:
    """It was replaced by a shorter one: the table's metadata say how many it had."""
    raw = tables.require(chain.lake.settings, tables.RAW, hint="")
    files = live_files(raw, snapshots.main_id(raw))
    path = local_path(max(files, key=lambda file: file.data.record_count).path)
    assert path is not None
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    with pytest.raises(CorruptData, match=r"rows of shards below 4, expected") as refused:
        chain.compact()
    assert refused.value.reason == "rows_differ"


def test_rows_that_the_generation_before_lost_are_missed(chain: Chain) -> None:
    """A file of it was replaced by a shorter one: its metadata say what must be read."""
    files = live_files(chain.ema, chain.generation.snapshot_id)
    for file in files:
        path = local_path(file.path)
        assert path is not None
        pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    with pytest.raises(CorruptData, match="or of the generation before"):
        chain.compact()


def damaged(change: Callable[[Any], None]) -> Callable[..., Any]:
    real = steps._step

    def step(*given: Any) -> Any:
        reading, made = real(*given)
        if len(made.rows):
            change(made)
        return reading, made

    return step


def add_drift(made: Any) -> None:
    made.rows.sums[2, 4] *= 1 + 2e-9


def lose_a_play(made: Any) -> None:
    made.rows.totals[1, 0] += 1


@pytest.mark.parametrize("change", [add_drift, lose_a_play])
def test_a_shard_that_differs_both_ways_publishes_nothing(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]
) -> None:
    """The error names the shard and the profile, and what to do; which then works."""
    before = chain.generation
    with monkeypatch.context() as patch:
        patch.setattr(steps, "_step", damaged(change))
        with pytest.raises(AuditFailed, match=r"in shard \d, profile \d+, expected 0, 0") as caught:
            chain.compact()
    assert caught.value.reason == "audit_incremental"
    assert "--logical-date 2026-11-22 --from-scratch" in (caught.value.hint or "")
    assert chain.generation == before
    assert chain.compact(from_scratch=True).extra["status"] == "published"
    chain.require_right()


@pytest.mark.parametrize(
    ("change", "audit"), [(lose_a_play, "conservation"), (add_drift, "sample")]
)
def test_shards_that_are_not_compared_are_audited_like_others(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None], audit: str
) -> None:
    """Damage between the kernel and everything after it, of incremental shards alone."""
    real = part._facts

    def damaging(of: part.Part, read: Any, made: Any, spec: Any) -> Any:
        if of.base is not None and not of.both and len(made.rows):
            change(made)
        return real(of, read, made, spec)

    monkeypatch.setattr(part, "_facts", damaging)
    with pytest.raises(AuditFailed) as caught:
        chain.compact()
    assert caught.value.reason == f"audit_{audit}"


LEFT_BEHIND: Mapping[str, set[str]] = {
    "after-window": set(),
    "after-write": {"audit_2026_11_22"},
    "after-audit": {"audit_2026_11_22"},
    "after-fast-forward": {"audit_2026_11_22"},
}


def test_a_run_that_fails_anywhere_is_finished_by_the_next(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one step after the other; the next run takes the same base."""
    kept = {"main", "gen_2026_11_15"}
    for step, left in LEFT_BEHIND.items():
        fired = tmp_path / step
        with monkeypatch.context() as switched:
            switched.setenv(VARIABLE, f"{step}:raise:1:{fired}")
            with pytest.raises(InjectedFailure):
                chain.compact()
        assert hits(fired) == 1
        assert set(snapshots.refs(chain.ema)) == kept | left
    chain.compact()
    assert set(snapshots.refs(chain.ema)) == kept | {"gen_2026_11_22"}
    assert chain.generation.incremental.since_ms
    chain.require_right()
