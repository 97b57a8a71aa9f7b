"""A generation becomes public: written to a branch, signed, published.

    write      files -> branch audit_<date>, one commit that says what they were computed from
    sign_off   an empty commit on that branch with the results of the audits
    publish    fast-forward main to it -> tag gen_<date> -> drop the branch

A crash between any two of them leaves either an audit branch, which the next run resets, or a main
that lacks its tag, which the next run sets (`heal`). Main never shows rows that were not signed.
What was published is read by batch/lake/generations.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batch.lake import refs, snapshots
from batch.lake.conflict import Conflict, retried
from batch.lake.data_files import live_files
from batch.lake.generations import History
from batch.lake.guarded_commit import commit
from impressions.core.errors import Refused
from impressions.formats.generation_paths import generation_id, ref_name
from impressions.history.run_record import HEALED
from impressions.process.failpoint import failpoint
from impressions.process.recording import event

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table


def write(
    ema: Table, files: Sequence[DataFile], cutover_ms: int, properties: Mapping[str, str]
) -> None:
    """Commits files in place of all others to the audit branch, which starts again from main."""
    branch, main = ref_name("audit", cutover_ms), snapshots.main_id(ema)
    with _alone(ema, cutover_ms):
        refs.set_branch(ema, branch, at=main)
        before = [file.data for file in live_files(ema, main)]
        commit(ema, files, properties, removed=before, branch=branch)
    failpoint("after-write")


def sign_off(ema: Table, cutover_ms: int, properties: Mapping[str, str]) -> None:
    """Commit the results of the audits to the audit branch; no row changes."""
    with _alone(ema, cutover_ms):
        commit(ema, (), properties, branch=ref_name("audit", cutover_ms))
    failpoint("after-audit")


def publish(ema: Table, cutover_ms: int) -> int:
    """Make the signed audit branch the generation; returns its snapshot."""
    branch, tag = ref_name("audit", cutover_ms), ref_name("gen", cutover_ms)
    with _alone(ema, cutover_ms):
        snapshot_id = refs.fast_forward(ema, branch)
    failpoint("after-fast-forward")
    _finished(ema, lambda: refs.set_tag(ema, tag, at=snapshot_id))
    failpoint("after-tag")
    _finished(ema, lambda: refs.drop_branch(ema, branch))
    return snapshot_id


@contextmanager
def _alone(ema: Table, cutover_ms: int) -> Iterator[None]:
    """Refused where main or the audit branch is not where this compact found or left it."""
    try:
        yield
    except Conflict as error:
        raise Refused(
            f"main of {'.'.join(ema.name())} moved while {generation_id(cutover_ms)} was computed, "
            f"or branch {ref_name('audit', cutover_ms)} did: another compact ran meanwhile",
            hint="run one compact at a time; running this one again starts from the new main",
            reason="main_moved",
        ) from error


def _finished(ema: Table, step: Callable[[], None]) -> None:
    """A step that another process may take at the same time (`heal`): then it is taken."""

    def attempt() -> None:
        try:
            step()
        except Conflict:
            ema.refresh()
            raise

    retried(attempt)


def heal(ema: Table, known: History) -> History:
    """Finish what a crash left undone after a fast-forward, of any date."""
    main = known.main
    if main is None:
        return known
    if main.cutover_ms not in known.tagged:
        tag = ref_name("gen", main.cutover_ms)
        _finished(ema, lambda: refs.set_tag(ema, tag, at=main.snapshot_id))
        event(HEALED, "publication of a generation finished", main.name)
    branch = ref_name("audit", main.cutover_ms)
    # At another snapshot it is a computation that was kept to be looked at.
    if snapshots.refs(ema).get(branch) == main.snapshot_id:
        _finished(ema, lambda: refs.drop_branch(ema, branch))
    return History({main.cutover_ms: main, **known.tagged}, main)
