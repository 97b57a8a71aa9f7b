"""Branches and tags of an Iceberg table. Every one has an age at which it expires, because refs
hold their snapshots.

Names come from impressions/formats/generation_paths.py (`ref_name`). Creating replaces, dropping
what is not there is no error: so each step of a job may be repeated after a crash. Each is one
commit, on top of the refs the table was loaded with; `table` shows it afterwards. None is stamped
with this host's clock (ref_updates.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch.lake import snapshots
from batch.lake.conflict import Conflict
from impressions.core.spec import DAY_MS

if TYPE_CHECKING:
    from pyiceberg.table import Table

BRANCH_DAYS = 14
TAG_DAYS = 90
_AGES = {"max_ref_age_ms", "max_snapshot_age_ms", "min_snapshots_to_keep"}


def set_branch(table: Table, branch: str, at: int | None) -> None:
    """Let `branch` start at a snapshot; None: at nothing, so it begins with its first commit."""
    if at is None:
        drop_branch(table, branch)
    else:
        _commit(table, branch, branch_at(branch, at))


def set_tag(table: Table, tag: str, at: int) -> None:
    _commit(table, tag, _pointing(tag, at, "tag", TAG_DAYS))


def drop_branch(table: Table, branch: str) -> None:
    from batch.lake.ref_updates import Dropping

    if branch in snapshots.refs(table):
        _commit(table, branch, Dropping(ref_name=branch))


def fast_forward(table: Table, branch: str) -> int:
    """Move main to the head of `branch`; returns that snapshot. How long main's own snapshots are
    kept stays as somebody has set it.

    Raises:
        Conflict: main is none of its ancestors, or moved meanwhile.
    """
    head, main = snapshots.refs(table)[branch], snapshots.main_id(table)
    line = {commit.id for commit in snapshots.ancestry(snapshots.by_id(table), head)}
    if main is not None and main not in line:
        raise Conflict(f"main is no ancestor of {branch}")
    moved = _pointing(snapshots.MAIN, head, "branch", None)
    _commit(table, snapshots.MAIN, moved.model_copy(update=ages(table, snapshots.MAIN)))
    return head


def ages(table: Table, name: str) -> dict[str, int]:
    """How long a ref and its snapshots are kept: for an update that moves it, which would otherwise
    drop that."""
    there = table.metadata.refs.get(name)
    if there is None:
        return {}
    return there.model_dump(include=_AGES, exclude_none=True, by_alias=False)


def branch_at(branch: str, snapshot_id: int) -> Any:
    """Iceberg's update that lets a branch start at a snapshot."""
    return _pointing(branch, snapshot_id, "branch", BRANCH_DAYS)


def guard(table: Table, name: str) -> Any:
    """Iceberg's requirement that a ref is still what it was when the table was loaded."""
    from batch.lake.ref_updates import Guard

    return Guard(ref=name, **{"snapshot-id": snapshots.refs(table).get(name)})


def _pointing(name: str, at: int, kind: str, days: int | None) -> Any:
    from batch.lake.ref_updates import Pointing

    fields = {"ref-name": name, "type": kind, "snapshot-id": at}
    age = {} if days is None else {"max-ref-age-ms": days * DAY_MS}
    return Pointing(**fields, **age)


def _commit(table: Table, name: str, update: Any) -> None:
    """Raises Conflict where the ref moved since the table was loaded."""
    from pyiceberg.exceptions import CommitFailedException
    from pyiceberg.table.update import AssertTableUUID

    if table.metadata.format_version >= 3:
        from batch.lake import format3

        format3.allow(table)
    try:
        table._do_commit(
            (update,), (guard(table, name), AssertTableUUID(uuid=table.metadata.table_uuid))
        )
    except CommitFailedException as error:
        raise Conflict(f"{'.'.join(table.name())}, ref {name}: {error}") from error
