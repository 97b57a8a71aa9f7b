"""The parts of a generation computed by tasks, and committed to the audit branch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batch.compacting import publishing
from batch.compacting.facts import PartFacts, added
from batch.compacting.incremental.comparing import Compared
from batch.compacting.incremental.forms import Form, forms_of, from_scratch
from batch.compacting.incremental.row_counts import exactly
from batch.compacting.job import Compacting
from batch.compacting.part import Made, Part, make_all
from batch.compacting.planning import parts_of, tasks_of
from batch.compacting.window import Window
from batch.exporting.sst_files import Packing
from batch.lake import generations, refs, snapshots, tables
from batch.lake.conflict import retried
from batch.lake.generations import Generation
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
        forms: shard -> how it was computed.
        compared: (shard, result) of parts that were computed both ways.
    """

    facts: Mapping[int, PartFacts]
    parts: int
    rows: Mapping[int, int]
    sst: tuple[SstFile, ...]
    packed: Mapping[int, int]
    forms: Mapping[int, Form]
    compared: Sequence[tuple[int, Compared]]


def compute(
    job: Compacting,
    window: Window,
    ema: Table,
    packing: Packing | None,
    before: Generation | None = None,
) -> Computed:
    """Tags the source, computes all parts, commits their files to the audit branch.

    Args:
        before: the generation that main shows.

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
    planned = forms_of(job, window, raw, ema, before)
    is_whole = all(form.base is None for form in planned.values())
    if not is_whole:
        planned = exactly(job, window, raw, planned)
    made, forms = _run(job, ema, planned, lambda of: parts_of(job, window, raw, ema, packing, of))
    parts, compared = len(made), [(one.shard, one.compared) for one in made if one.compared]
    made = [one for one in made if one.facts.read]
    facts = _by_shard(job, made)
    read = {shard: facts[shard].read if shard in facts else 0 for shard in forms}
    if is_whole:
        _check_read(sum(read.values()), window)
    else:
        _check_read_by_shard(read, forms)
    forms = {shard: replace(form, rows=read[shard]) for shard, form in forms.items()}
    rows, packed = Counter[int](), Counter[int]()
    for one in made:
        rows[one.shard] += sum(file.record_count for file in one.files)
        packed[one.shard] += one.packed
    _check_written({shard: one.entries for shard, one in facts.items()}, rows)
    files = [file for one in made for file in one.files]
    publishing.write(ema, files, job.cutover_ms, origin(job, window))
    sst = tuple(file for one in made for file in one.sst)
    return Computed(facts, parts, rows, sst, packed, forms, compared)


def _run(
    job: Compacting,
    ema: Table,
    planned: Mapping[int, Form],
    parts: Callable[[Mapping[int, Form]], Sequence[Part]],
) -> tuple[list[Made], dict[int, Form]]:
    """All shards computed; those that are unfit for the form that was planned, from scratch."""
    made = _tasks(job, ema, parts(planned))
    unfit = {one.shard: one.unfit for one in made if one.unfit}
    forms = {
        shard: _unfit(job, form, unfit[shard]) if shard in unfit else form
        for shard, form in planned.items()
    }
    again = {shard: forms[shard] for shard in unfit if planned[shard].is_incremental}
    if again:
        _discard(ema, [one for one in made if one.shard in again])
        made = [one for one in made if one.shard not in again]
        try:
            made += _tasks(job, ema, parts(again))
        except BaseException:  # whatever ended it: nobody else knows these files; it goes on
            _discard(ema, made)
            raise
    return made, forms


def _unfit(job: Compacting, form: Form, why: str) -> Form:
    words = f"from the generation before it was not to be had: {why}"
    return replace(from_scratch(job, form, words), unfit=True)


def _tasks(job: Compacting, ema: Table, parts: Sequence[Part]) -> list[Made]:
    of_tasks: list[list[Made]] = job.runner.run(
        f"aggregate {job.name}", make_all, tasks_of(parts, job.runner.width),
        discard=lambda done: _discard(ema, [one for of_task in done for one in of_task]),
    )  # fmt: skip
    return [one for of_task in of_tasks for one in of_task]


def _discard(ema: Table, made: Iterable[Made]) -> None:
    discard(ema, [file for one in made for file in one.files])


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


def _check_read_by_shard(read: Mapping[int, int], forms: Mapping[int, Form]) -> None:
    """Every row of the files that a shard reads was read by exactly one part of it."""
    wrong = [shard for shard, form in forms.items() if read.get(shard, 0) != form.rows]
    if wrong:
        raise CorruptData(
            f"shard {wrong[0]}: {read.get(wrong[0], 0):,} rows of raw were read (or of the "
            f"generation before), expected {forms[wrong[0]].rows:,}, as metadata and files "
            f"say ({len(wrong)} shards differ): nothing was published",
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
