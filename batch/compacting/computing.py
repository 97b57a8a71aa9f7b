"""The parts of a generation computed by tasks, and committed to the audit branch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.compacting import publishing
from batch.compacting.facts import PartFacts, added
from batch.compacting.job import Compacting
from batch.compacting.part import Made, make_all
from batch.compacting.planning import parts_of, tasks_of
from batch.compacting.window import Window
from batch.exporting.sst_files import Packing
from batch.lake import generations, refs, snapshots, tables
from batch.lake.conflict import retried
from batch.lake.guarded_commit import discard
from impressions.core.errors import CorruptData
from impressions.formats.generation_paths import ref_name
from impressions.formats.manifest import SstFile
from impressions.process.failpoint import failpoint

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Computed:
    """A generation that is written and not audited.

    Attributes:
        facts: shard -> what its tasks counted.
        parts: how many parts it was computed in.
        rows: shard -> rows in the files that were committed, as these say.
        sst: files that were packed in the same pass, in no manifest yet.
        packed: shard -> rows in them.
    """

    facts: Mapping[int, PartFacts]
    parts: int
    rows: Mapping[int, int]
    sst: tuple[SstFile, ...]
    packed: Mapping[int, int]


def compute(job: Compacting, window: Window, ema: Table, packing: Packing | None) -> Computed:
    """Tags the source, computes all parts, commits their files to the audit branch.

    Raises:
        CorruptData: a file of raw cannot be read, or has not the rows it should have; or files
            were written that have not the rows that were made.
        InjectedFailure, or whatever a task raises: nothing is committed.
    """
    raw = tables.require(job.settings, tables.RAW, hint="impressions land")
    tag = ref_name("src", job.cutover_ms)
    retried(
        lambda: refs.set_tag(
            tables.require(job.settings, tables.RAW, hint="impressions land"),
            tag,
            window.source_id,
        )
    )
    failpoint("after-window")
    parts = parts_of(job, window, raw, ema, packing)
    of_tasks: list[list[Made]] = job.runner.run(
        f"aggregate {job.name}", make_all, tasks_of(parts, job.runner.width),
        discard=lambda done: discard(ema, [f for of in done for one in of for f in one.files]),
    )  # fmt: skip
    made = [one for of_task in of_tasks for one in of_task if one.facts.read]
    facts = _by_shard(job, made)
    _check_read(sum(one.read for one in facts.values()), window)
    rows, packed = Counter[int](), Counter[int]()
    for one in made:
        rows[one.shard] += sum(file.record_count for file in one.files)
        packed[one.shard] += one.packed
    _check_written({shard: one.entries for shard, one in facts.items()}, rows)
    files = [file for one in made for file in one.files]
    publishing.write(ema, files, job.cutover_ms, origin(job, window))
    sst = tuple(file for one in made for file in one.sst)
    return Computed(facts, len(parts), rows, sst, packed)


def origin(job: Compacting, window: Window) -> dict[str, str]:
    """Snapshot properties of both commits of a generation: what it is computed from."""
    return {
        snapshots.RUN_ID: job.run.id,
        generations.CUTOVER: str(job.cutover_ms),
        generations.SOURCE: str(window.source_id),
        generations.WINDOW: window.digest,
        generations.SPEC: job.spec.fingerprint,
    }


def _by_shard(job: Compacting, made: list[Made]) -> dict[int, PartFacts]:
    shards = sorted({one.shard for one in made})
    return {s: added((one.facts for one in made if one.shard == s), job.spec) for s in shards}


def _check_read(read: int, window: Window) -> None:
    """Every row of every file was read by exactly one part."""
    if read != window.rows:
        raise CorruptData(
            f"{read:,} rows of raw were read in the window's {len(window.files):,} files, expected "
            f"{window.rows:,}, as their metadata say: nothing was published",
            hint="run compact again; if it stays so, a file was replaced by hand",
            reason="rows_differ",
        )


def _check_written(made: Mapping[int, int], written: Mapping[int, int]) -> None:
    """Every row that was made, and audited, is in a file."""
    wrong = [shard for shard in made if made[shard] != written[shard]]
    if wrong:
        raise CorruptData(
            f"shard {wrong[0]}: {written[wrong[0]]:,} rows are in its files, expected the "
            f"{made[wrong[0]]:,} that were made ({len(wrong)} shards differ): nothing was "
            "published",
            hint="run compact again",
            reason="rows_differ",
        )
