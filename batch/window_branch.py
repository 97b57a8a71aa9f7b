"""The window of one cutover, pinned as a branch of raw that holds nothing else.

Why a branch: the weekly plan needs no Exchange only while the scan of raw is grouped by shard
alone, and a filter on `ingest_slot` would join that grouping. So the slots outside the window are
taken out of a branch by a delete that touches metadata only, and the branch is read without any
filter on a partition column. The branch also pins the snapshot that was consumed.

    survey   what the window holds, from the metadata of a snapshot; nothing is changed
    pin      the branch `window_<date>`, checked to hold exactly the files of the survey

The window's slots are [first_slot_ms, cutover): the slot before the window's first day may hold
its events, because a device's clock may run ahead of the broker's (impressions/window.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch.refs import branch_of, refs, set_branch
from batch.snapshots import snapshots
from impressions import window
from impressions.errors import Refused
from impressions.generation import ref_name
from impressions.slot import format_utc, next_slot_ms
from impressions.spec import Spec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Survey:
    """What a snapshot of raw holds between two slots.

    Attributes:
        source_id: the snapshot.   slots: starts of the slots with rows, ascending.
        files, rows: in the window.   outside: files that are not in it.
        digest: sha256, hex, over the sorted paths of the window's files. A file never changes, so
            equal digests mean equal content.
        open_slots: those of `slots` that are not closed.
    """

    source_id: int
    slots: tuple[int, ...]
    files: int
    rows: int
    outside: int
    digest: str
    open_slots: tuple[int, ...]


def survey(spark: SparkSession, raw: str, source_id: int, cutover_ms: int, spec: Spec) -> Survey:
    """Look at the window of `cutover_ms` in one snapshot of raw; reads metadata only."""
    files = _files(spark, raw, str(source_id))
    first_ms = window.first_slot_ms(cutover_ms, spec)
    inside = [file for file in files if first_ms <= file["slot_ms"] < cutover_ms]
    _check_not_cut(inside, cutover_ms, spec)
    return Survey(
        source_id=source_id,
        slots=tuple(sorted({file["slot_ms"] for file in inside})),
        files=len(inside),
        rows=sum(file["rows"] for file in inside),
        outside=len(files) - len(inside),
        digest=_digest(file["path"] for file in inside),
        open_slots=tuple(sorted({file["slot_ms"] for file in inside if file["undecided"]})),
    )


def pin(spark: SparkSession, raw: str, found: Survey, cutover_ms: int, spec: Spec) -> str:
    """Make the window's branch; returns the name to read it by.

    Raises:
        Refused: the branch came out as something else than the surveyed files.
    """
    branch = ref_name("window", cutover_ms)
    set_branch(spark, raw, branch, at=found.source_id)
    if found.outside:
        first = format_utc(window.first_slot_ms(cutover_ms, spec))
        spark.sql(
            f"DELETE FROM {branch_of(raw, branch)} WHERE ingest_slot < TIMESTAMP '{first}' "
            f"OR ingest_slot >= TIMESTAMP '{format_utc(cutover_ms)}'"
        )
        _check_metadata_only(spark, raw, branch)
    digest = _digest(file["path"] for file in _files(spark, raw, branch))
    if digest != found.digest:
        raise Refused(
            f"branch {branch} of {raw}: its files have digest {digest[:16]}, "
            f"expected {found.digest[:16]}",
            hint="run compact again; if it stays so, the table was changed by hand",
            reason="window_differs",
        )
    return branch_of(raw, branch)


def _check_not_cut(inside: list[dict[str, Any]], cutover_ms: int, spec: Spec) -> None:
    """Refuse a cutover in the middle of a day of history, which is one partition."""
    newest_ms = max((file["newest_ms"] or 0 for file in inside), default=0)
    if newest_ms >= cutover_ms:
        first = format_utc(next_slot_ms(newest_ms, spec))
        raise Refused(
            f"cutover {format_utc(cutover_ms)} cuts through a day of imported history, which "
            f"reaches until {format_utc(newest_ms)}",
            hint=f"--logical-date {first} or later, or a UTC midnight",
            reason="cuts_history",
        )


def _check_metadata_only(spark: SparkSession, raw: str, branch: str) -> None:
    head = snapshots(spark, raw)[refs(spark, raw)[branch]]
    added = [key for key in ("added-data-files", "added-delete-files") if key in head.summary]
    if head.operation != "delete" or added:
        raise Refused(
            f"branch {branch} of {raw}: taking out other slots was a {head.operation!r} that wrote "
            f"files ({', '.join(added) or 'none'}), expected a delete of metadata only",
            hint="is the table still partitioned by identity(ingest_slot)?",
            reason="window_rewritten",
        )


def _files(spark: SparkSession, raw: str, version: str) -> list[dict[str, Any]]:
    """Path, slot, rows and undecided rows of every file (delete files too) of a version."""
    rows = (
        spark.read.option("versionAsOf", version)
        .table(f"{raw}.files")
        .selectExpr(
            "file_path AS path",
            "unix_millis(partition.ingest_slot) AS slot_ms",
            "record_count AS rows",
            "unix_millis(readable_metrics.ingest_time.upper_bound) AS newest_ms",
            # A file without statistics counts as undecided: closing it again writes them.
            "coalesce(readable_metrics.duplicate.null_value_count, record_count) AS undecided",
        )
        .collect()
    )
    return [row.asDict() for row in rows]


def _digest(paths: Any) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()
