"""Rows of a file through the mapping: canonical columns, and each row with its reason.

    in     Rows (batch/mapping/rows.py): n rows as they stand in the file
    out    Judged: n rows in the same order, none dropped, `Reason.OK` for those that count

The order of checks is impressions/core/event.py's ORDER. What is there but cannot be read is

    ids, location            -1      bad_profile, bad_title, bad_log_id, bad_location
    dwell_s                  NaN     bad_dwell
    times                    0       bad_event_time, bad_ingest_time
    row, position, played            undecodable, as is a row of another width, or text in another
                                     encoding than the file's

An ingest time outside the years 2000 to 2099 counts as unreadable, one that lies more than a slot
after now as future: either would say that raw is complete until the year it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batch.mapping import cells, ids, shown
from batch.mapping.cells import Cells, nothing
from batch.mapping.grammar import DEFAULTS, HashOf, ImportMapping, Source
from batch.mapping.numbers import BLANKS
from batch.mapping.rows import Mask, Rows
from batch.mapping.texts import text_of
from batch.mapping.times import times_ms
from impressions.core import event
from impressions.core.decay import Float, Int
from impressions.core.event import Reason
from impressions.core.ids import LOG_BITS, PROFILE_BITS, TITLE_BITS
from impressions.core.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_MS, END_MS = 946_684_800_000, 4_102_444_800_000  # 2000-01-01 and 2100-01-01
ABSENT = -1
UNREADABLE = -1
_HASH_BITS = {"profile_id": PROFILE_BITS, "title_id": TITLE_BITS, "log_id": LOG_BITS}
_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Judged:
    """n rows in the order of the file; (n,) each.

    Attributes:
        row_number: from 0, of the rows of data in the file.
        reason: uint8 of `Reason`.
        row, position: ABSENT where not given.
        event_ms: as the file says; counted_ms: to count with, meaningful where the reason is OK.
        has_ingest: whether ingest_ms is a time; it is 0 where not.
        log_id: as in the file; meaningless where no log_id is mapped.
        device_type, app_version: strings, null where absent.
        defaulted: mapped optional target -> rows with no value there.
    """

    row_number: Int
    reason: NDArray[np.uint8]
    profile_id: Int
    title_id: Int
    location: Int
    row: Int
    position: Int
    event_ms: Int
    counted_ms: Int
    ingest_ms: Int
    has_ingest: Mask
    played: Mask
    dwell_s: Float
    log_id: Int
    device_type: pa.Array
    app_version: pa.Array
    defaulted: Mapping[str, int]
    _rows: Rows

    def __len__(self) -> int:
        return len(self.row_number)

    def shown(self, rows: Int) -> list[str]:
        """These rows (an index) as they stood in the file, each at most about 64 KiB."""
        return shown.shown(self._rows, rows)


def judge(rows: Rows, mapping: ImportMapping, spec: Spec, now_ms: int) -> Judged:
    """Every row, with its reason."""
    return _Judge(rows, mapping).judged(spec, now_ms)


@dataclass
class _Judge:
    rows: Rows
    mapping: ImportMapping

    def judged(self, spec: Spec, now_ms: int) -> Judged:
        profile, title = self._id("profile_id"), self._id("title_id")
        location, dwell_s = self._location, self._dwell_s
        event_ms = self._event.filled(0, 0)
        ingest_ms = self._ingest.filled(0, 0)
        profile_id, title_id = profile.filled(0, UNREADABLE), title.filled(0, UNREADABLE)
        location_id = location.filled(0, UNREADABLE)
        reason, counted_ms = event.check(
            profile_id, title_id, location_id, event_ms, ingest_ms, dwell_s, spec
        )
        reason = np.where(
            (reason == Reason.OK) & (ingest_ms > now_ms + spec.slot_ms), Reason.FUTURE, reason
        ).astype(np.uint8)
        for code, failed in reversed(self._failures(profile, title)):
            reason[failed] = code
        return Judged(
            row_number=self.rows.row_number,
            reason=reason,
            profile_id=profile_id,
            title_id=title_id,
            location=location_id,
            row=self._place("row"),
            position=self._place("position"),
            event_ms=event_ms,
            counted_ms=counted_ms,
            ingest_ms=ingest_ms,
            has_ingest=~(self._ingest.absent | self._ingest.unreadable),
            played=self._played.filled(0, 0) == 1,
            dwell_s=dwell_s,
            log_id=self._log.filled(0, UNREADABLE),
            device_type=self._text("device_type"),
            app_version=self._text("app_version"),
            defaulted=self._defaulted,
            _rows=self.rows,
        )

    def _failures(self, profile: Cells, title: Cells) -> tuple[tuple[Reason, Mask], ...]:
        """What is asked before the values are looked at, in the order of `event.ORDER`."""
        row, position = self._small("row"), self._small("position")
        unreadable = self._played.unreadable | row.unreadable | position.unreadable
        failures = {
            Reason.UNDECODABLE: self.rows.undecodable | unreadable,
            Reason.MISSING_PROFILE: profile.absent,
            Reason.MISSING_TITLE: title.absent,
            Reason.MISSING_EVENT_TIME: self._event.absent,
            Reason.BAD_EVENT_TIME: self._event.unreadable,
            Reason.MISSING_INGEST_TIME: self._ingest.absent,
            Reason.BAD_INGEST_TIME: self._ingest.unreadable,
        }
        if "log_id" in self.mapping:
            failures[Reason.MISSING_LOG_ID] = self._log.absent
            failures[Reason.BAD_LOG_ID] = self._log.unreadable
        return tuple((reason, failures[reason]) for reason in event.ORDER if reason in failures)

    def _source(self, target: str) -> Source | None:
        source = self.mapping.sources.get(target)
        return source if isinstance(source, Source) else None

    def _column(self, target: str) -> pa.Array | None:
        """None: not mapped, or nothing in it."""
        source = self._source(target)
        column = self.rows.cells[source.column] if source else None
        return None if column is None or column.null_count == len(column) else column

    def _id(self, target: str) -> Cells:
        source = self.mapping.sources.get(target)
        if isinstance(source, HashOf):
            value = ids.content_ids([self.rows.cells[column] for column in source.columns])
            none = np.zeros(len(value), np.bool_)
            return Cells(value, none, none)
        column = self._column(target)
        if column is None:
            return nothing(len(self.rows))
        if isinstance(source, Source) and source.unit == "hash":
            return ids.hashes(column, _HASH_BITS[target], never_zero=target == "log_id")
        return cells.whole_numbers(column)

    @cached_property
    def _log(self) -> Cells:
        return self._id("log_id")

    def _time(self, target: str) -> Cells:
        source, column = self._source(target), self._column(target)
        if source is None or column is None:
            return nothing(len(self.rows))
        return times_ms(column, source, self.mapping.reading.timezone)

    @cached_property
    def _event(self) -> Cells:
        return self._time("event_time")

    @cached_property
    def _ingest(self) -> Cells:
        time = self._event if self.mapping.ingest_is_event else self._time("ingest_time")
        implausible = (time.value < FIRST_MS) | (time.value >= END_MS)
        return Cells(time.value, time.absent, (time.unreadable | implausible) & ~time.absent)

    def _small(self, target: str) -> Cells:
        column = self._column(target)
        if column is None:
            return nothing(len(self.rows))
        numbers = cells.whole_numbers(column)
        large = (numbers.value > _INT32) | (numbers.value < -_INT32 - 1)
        return Cells(numbers.value, numbers.absent, (numbers.unreadable | large) & ~numbers.absent)

    def _place(self, target: str) -> Int:
        """A place in a list is never negative: such a one is not given."""
        return np.maximum(self._small(target).filled(ABSENT, ABSENT), ABSENT)

    @property
    def _location(self) -> Cells:
        column, names = self._column("location"), self.mapping.locations
        if column is None:
            return nothing(len(self.rows))
        if names:
            return cells.by_value(text_of(column), lambda text: names.get(text.strip(BLANKS)))
        return cells.whole_numbers(column)

    @cached_property
    def _played(self) -> Cells:
        column = self._column("played")
        return nothing(len(self.rows)) if column is None else cells.yes_or_no(column)

    @property
    def _dwell_s(self) -> Float:
        source, column = self._source("dwell_s"), self._column("dwell_s")
        if source is None or column is None:
            return np.zeros(len(self.rows))
        return cells.seconds(column, source.unit or "s")

    def _text(self, target: str) -> pa.Array:
        import pyarrow as pa

        column = self._column(target)
        return pa.nulls(len(self.rows), pa.string()) if column is None else text_of(column)

    @property
    def _defaulted(self) -> dict[str, int]:
        """Rows that are none have no value of their own anywhere."""
        counts = {}
        for target in DEFAULTS:
            source = self._source(target)
            if source is not None and target != "log_id":
                broken = len(self.rows.broken)
                counts[target] = self.rows.cells[source.column].null_count - broken
        return {target: count for target, count in counts.items() if count}
