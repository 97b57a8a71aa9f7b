"""A generation becomes public: written to a branch, signed, published.

    write      files -> branch audit_<date>, one commit that says what they were computed from
    sign_off   an empty commit on that branch with the results of the audits
    publish    fast-forward main to it -> tag gen_<date> -> drop the branch

A crash between any two of them leaves either an audit branch, which the next run resets, or a main
that lacks its tag, which the next run sets (`heal`). Main never shows rows that were not signed.
What was published is read by batch/lake/generations.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from batch.lake import refs, snapshots
from batch.lake.conflict import Conflict
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
    refs.set_branch(ema, branch, at=main)
    before = [file.data for file in live_files(ema, main)]
    commit(ema, files, properties, removed=before, branch=branch)
    failpoint("after-write")


def sign_off(ema: Table, cutover_ms: int, properties: Mapping[str, str]) -> None:
    """Commit the results of the audits to the audit branch; no row changes."""
    commit(ema, (), properties, branch=ref_name("audit", cutover_ms))
    failpoint("after-audit")


def publish(ema: Table, cutover_ms: int) -> int:
    """Make the signed audit branch the generation; returns its snapshot."""
    branch, tag = ref_name("audit", cutover_ms), ref_name("gen", cutover_ms)
    try:
        snapshot_id = refs.fast_forward(ema, branch)
    except Conflict as error:
        raise Refused(
            f"main of {'.'.join(ema.name())} moved while {generation_id(cutover_ms)} was computed: "
            "another compact published meanwhile",
            hint="run one compact at a time; running this one again starts from the new main",
            reason="main_moved",
        ) from error
    failpoint("after-fast-forward")
    refs.set_tag(ema, tag, at=snapshot_id)
    failpoint("after-tag")
    refs.drop_branch(ema, branch)
    return snapshot_id


def heal(ema: Table, known: History) -> History:
    """Finish what a crash left undone after a fast-forward, of any date."""
    main = known.main
    if main is None:
        return known
    if main.cutover_ms not in known.tagged:
        refs.set_tag(ema, ref_name("gen", main.cutover_ms), at=main.snapshot_id)
        event(HEALED, "publication of a generation finished", main.name)
    branch = ref_name("audit", main.cutover_ms)
    # At another snapshot it is a computation that was kept to be looked at.
    if snapshots.refs(ema).get(branch) == main.snapshot_id:
        refs.drop_branch(ema, branch)
    return History({main.cutover_ms: main, **known.tagged}, main)
