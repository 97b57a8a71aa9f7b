"""One snapshot on top of exactly the one it was computed from, or a conflict.

Iceberg's libraries rebase an append silently when another commit came first. For rows that carry
offsets this would be wrong: two landers that read the same records would both be in. A commit is a
list of updates and of requirements, one of them the id of the branch's snapshot; the catalog checks
them and swaps one pointer. So the guard is the commit itself, as long as nobody repeats it
elsewhere: this module hands it to the catalog once.

An answer that never came is no failure: whether the snapshot is there is looked up.

pyiceberg stamps a snapshot with this host's clock. Iceberg's Java refuses to read a table whose
snapshots are out of order by more than a minute, for good, and to change one whose newest snapshot
lies in its future. So none is stamped before what is there, nor later than a second clock has seen,
where there is one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batch.lake import refs
from batch.lake.conflict import Conflict
from batch.lake.snapshots import MAIN
from impressions.core.errors import Refused
from impressions.process.failpoint import failpoint

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction

    from batch.lake.data_file_writer import Target


def commit(
    table: Table,
    added: Sequence[DataFile],
    properties: Mapping[str, str],
    removed: Collection[DataFile] = (),
    reached_ms: int | None = None,
    table_properties: Mapping[str, str] | None = None,
    branch: str = MAIN,
) -> int:
    """Adds and removes data files on top of the snapshot `table` was loaded at.

    Args:
        added: written, not yet synced.
        properties: of the snapshot.
        reached_ms: a time that another clock than this host's has seen; None: there is no other.
        table_properties: of the table, set in the same commit.
        branch: whose head it becomes; other branches than main keep the age at which they expire.

    Returns:
        The new snapshot's id.

    Raises:
        Conflict: the branch has moved, or a file to remove is gone; nothing was published.
        Refused: the table's partitioning changed while files were written.
    """
    from pyiceberg.exceptions import CommitFailedException, ValidationException
    from pyiceberg.table.update import AssertTableUUID

    from batch.lake import durable

    _check_layout(table, added)
    durable.sync(file.file_path for file in added)
    transaction = table.transaction()
    if table_properties:
        transaction.set_properties(dict(table_properties))
    # pyiceberg writes a branch of a table without snapshots only where that is main.
    head = None if branch != MAIN and branch not in table.metadata.refs else branch
    try:
        with _producer(transaction, dict(properties), bool(removed), head) as producer:
            for file in removed:
                producer.delete_data_file(file)
            for file in added:
                producer.append_data_file(file)
        failpoint("before-publish")
        requirements = (*transaction._requirements, AssertTableUUID(uuid=table.metadata.table_uuid))
        updates = tuple(
            _expiring(_in_order(update, table, reached_ms), table)
            for update in transaction._updates
        )
        if head is None:
            requirements = (*requirements, *(refs.guard(table, ref) for ref in (MAIN, branch)))
            updates = (*updates, refs.branch_at(branch, producer.snapshot_id))
        _publish(table, requirements, updates, producer.snapshot_id)
    except (CommitFailedException, ValidationException) as error:
        producer._clean_all_uncommitted()  # manifests of a commit that certainly did not happen
        raise Conflict(f"{'.'.join(table.name())}: {error}") from error
    failpoint("after-publish")
    return int(producer.snapshot_id)


def _check_layout(table: Table, added: Iterable[DataFile]) -> None:
    """pyiceberg lists all that is added under the table's present partitioning."""
    wrong = [file for file in added if file.spec_id != table.metadata.default_spec_id]
    if wrong:
        raise Refused(
            f"{'.'.join(table.name())}: {len(wrong)} files were written for partitioning "
            f"{wrong[0].spec_id}, expected {table.metadata.default_spec_id}: it changed meanwhile, "
            "as when a newer version of impressions writes to the table for the first time",
            hint="run it again: nothing of it was committed; run one version of impressions only",
            reason="layout_changed",
        )


def _producer(
    transaction: Transaction, properties: dict[str, str], overwrites: bool, branch: str | None
) -> Any:
    """pyiceberg's; for tables of format version 3, which it does not write, ours."""
    if transaction.table_metadata.format_version >= 3:
        from batch.lake import format3

        format3.allow(transaction._table)
        return format3.producer(transaction, properties, overwrites, branch)
    update = transaction.update_snapshot(snapshot_properties=properties, branch=branch)
    return update.overwrite() if overwrites else update.merge_append()


def _in_order(update: Any, table: Table, reached_ms: int | None) -> Any:
    """The same update; a snapshot that it adds is stamped as said above."""
    from pyiceberg.table.update import AddSnapshotUpdate

    if not isinstance(update, AddSnapshotUpdate):
        return update
    own_ms = update.snapshot.timestamp_ms
    seen_ms = own_ms if reached_ms is None else min(own_ms, reached_ms)
    # One that equals the last update is none to pyiceberg: it would say the host's clock again.
    stamp = {"timestamp_ms": max(seen_ms, table.metadata.last_updated_ms + 1)}
    return update.model_copy(update={"snapshot": update.snapshot.model_copy(update=stamp)})


def _expiring(update: Any, table: Table) -> Any:
    """The same update; a branch keeps what is set of its ages, which pyiceberg would drop."""
    from pyiceberg.table.update import SetSnapshotRefUpdate

    if not isinstance(update, SetSnapshotRefUpdate):
        return update
    return update.model_copy(update=refs.ages(table, update.ref_name))


def discard(table: Table | Target | None, files: Iterable[DataFile]) -> None:
    """Deletes data files that were written and never committed, as far as that succeeds; without
    a table (a dry run) none was."""
    if table is not None:
        for file in files:
            with contextlib.suppress(Exception):  # harmless: no table names it
                table.io.delete(file.file_path)


def _publish(table: Table, requirements: tuple, updates: tuple, snapshot_id: int) -> None:  # type: ignore[type-arg]
    from pyiceberg.exceptions import CommitFailedException

    try:
        table._do_commit(updates, requirements)
    except CommitFailedException:
        raise
    except Exception:  # of any driver: the pointer may be swapped although no answer came
        table.refresh()  # what comes next rests on this commit
        if table.snapshot_by_id(snapshot_id) is None:
            raise
