"""The window of one cutover, pinned as a branch of raw that holds nothing else.

Why a branch: the weekly plan needs no Exchange only while the scan of raw is grouped by shard
alone, and a filter on `ingest_slot` would join that grouping. So the slots outside the window are
taken out of a branch by a delete that touches metadata only, and the branch is read without any
filter on a partition column. The branch also pins the snapshot that was consumed.

    survey   what the window holds, from the metadata of a snapshot; nothing is changed
    pin      the branch `window_<date>`, checked to hold exactly the files of the survey

The window's slots are [first_slot_ms, cutover): the slot before the window's first day may hold
its events, because a device's clock may run ahead of the broker's (impressions/core/window.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.compacting.refs import branch_of, set_branch
from batch.lake import snapshots, tables
from batch.lake.data_files import LiveFile, bound, live_files
from batch.lake.slot_states import slot_states
from impressions.core import window
from impressions.core.errors import Refused
from impressions.core.slot import format_utc, next_slot_ms
from impressions.core.spec import Spec
from impressions.formats.generation_paths import ref_name
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from pyiceberg.table import Table
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


def survey(raw: Table, source_id: int, cutover_ms: int, spec: Spec) -> Survey:
    """Look at the window of `cutover_ms` in one snapshot of raw; reads metadata only."""
    files = live_files(raw, source_id)
    first_ms = window.first_slot_ms(cutover_ms, spec)
    inside = [file for file in files if first_ms <= file.place[0] < cutover_ms]
    _check_not_cut(raw, inside, cutover_ms, spec)
    states = slot_states(raw, source_id)
    slots = sorted({file.place[0] for file in inside})
    return Survey(
        source_id=source_id,
        slots=tuple(slots),
        files=len(inside),
        rows=sum(file.data.record_count for file in inside),
        outside=len(files) - len(inside),
        digest=_digest(file.path for file in inside),
        open_slots=tuple(slot for slot in slots if not states[slot].closed),
    )


def pin(spark: SparkSession, settings: Settings, surveyed: Survey, cutover_ms: int) -> str:
    """Make the window's branch; returns the name to read it by.

    Raises:
        Refused: the branch came out as something else than the surveyed files.
    """
    raw, branch = tables.full_name(settings, tables.RAW), ref_name("window", cutover_ms)
    set_branch(spark, raw, branch, at=surveyed.source_id)
    if surveyed.outside:
        first = format_utc(window.first_slot_ms(cutover_ms, settings.spec))
        spark.sql(
            f"DELETE FROM {branch_of(raw, branch)} WHERE ingest_slot < TIMESTAMP '{first}' "
            f"OR ingest_slot >= TIMESTAMP '{format_utc(cutover_ms)}'"
        )
        _check_metadata_only(settings, branch)
    table = tables.require(settings, tables.RAW, hint="impressions land")
    digest = _digest(file.path for file in live_files(table, snapshots.refs(table)[branch]))
    if digest != surveyed.digest:
        raise Refused(
            f"branch {branch} of {raw}: its files have digest {digest[:16]}, "
            f"expected {surveyed.digest[:16]}",
            hint="run compact again; if it stays so, the table was changed by hand",
            reason="window_differs",
        )
    return branch_of(raw, branch)


def _check_not_cut(raw: Table, inside: Sequence[LiveFile], cutover_ms: int, spec: Spec) -> None:
    """Refuse a cutover in the middle of a day of history, which is one partition."""
    newest = (bound(raw, file.data, "ingest_time", upper=True) for file in inside)
    newest_ms = max((us // 1000 for us in newest if us is not None), default=0)
    if newest_ms >= cutover_ms:
        first = format_utc(next_slot_ms(newest_ms, spec))
        raise Refused(
            f"cutover {format_utc(cutover_ms)} cuts through a day of imported history, which "
            f"reaches until {format_utc(newest_ms)}",
            hint=f"--logical-date {first} or later, or a UTC midnight",
            reason="cuts_history",
        )


def _check_metadata_only(settings: Settings, branch: str) -> None:
    table = tables.require(settings, tables.RAW, hint="impressions land")
    head = snapshots.by_id(table)[snapshots.refs(table)[branch]]
    added = [key for key in ("added-data-files", "added-delete-files") if key in head.summary]
    if head.operation != "delete" or added:
        raise Refused(
            f"branch {branch} of raw: taking out other slots was a {head.operation!r} that wrote "
            f"files ({', '.join(added) or 'none'}), expected a delete of metadata only",
            hint="is the table still partitioned by identity(ingest_slot)?",
            reason="window_rewritten",
        )


def _digest(paths: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()
