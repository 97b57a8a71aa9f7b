"""Look first: the first 1,000 rows of each file are judged before any file is read to its end.

    a unit that does not fit    the median of a time lies outside the years 2000 to 2099, or none
                                of its values can be read: no file that is meant looks so
    a mapping that is wrong     more than half of the rows are rejected for one reason; asked of 20
                                rows and more, since of fewer each is read by a person anyway

A refusal names the file, a row and the line of the mapping to look at. A person who knows better
skips this (`--yes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from batch.files.identify import SourceFile
from batch.files.names import one_line
from batch.files.reader import OpenFile, rows_of
from batch.mapping.grammar import EPOCH_UNITS, TIMES, ImportMapping, Source
from batch.mapping.judge import END_MS, FIRST_MS, Judged, judge
from batch.mapping.rows import Rows
from batch.mapping.texts import text_of
from batch.mapping.times import times_ms
from impressions.core.errors import MappingError
from impressions.core.event import Reason
from impressions.core.slot import format_utc
from impressions.core.spec import Spec

SAMPLE_ROWS = 1_000
FEW_ROWS = 20
_SHOWN_CHARS = 500
_TARGETS = {
    Reason.MISSING_PROFILE: "profile_id", Reason.BAD_PROFILE: "profile_id",
    Reason.MISSING_TITLE: "title_id", Reason.BAD_TITLE: "title_id",
    Reason.MISSING_EVENT_TIME: "event_time", Reason.BAD_EVENT_TIME: "event_time",
    Reason.MISSING_INGEST_TIME: "ingest_time", Reason.BAD_INGEST_TIME: "ingest_time",
    Reason.FUTURE: "ingest_time", Reason.OUT_OF_WINDOW: "event_time",
    Reason.MISSING_LOG_ID: "log_id", Reason.BAD_LOG_ID: "log_id",
    Reason.BAD_LOCATION: "location", Reason.BAD_DWELL: "dwell_s",
}  # fmt: skip


def look_first(files: Sequence[OpenFile], mapping: ImportMapping, spec: Spec, now_ms: int) -> None:
    """Refuses files that the mapping does not mean.

    Raises:
        MappingError: reason `implausible_time` or `mostly_rejected`.
        CorruptData: what the reader raises.
    """
    for file in files:
        rows = _first(file, mapping)
        for target in TIMES:
            source = mapping.sources.get(target)
            if isinstance(source, Source):
                _check_median(file.file, target, source, rows, mapping.reading.timezone)
        _check_rejected(file.file, [judge(r, mapping, spec, now_ms) for r in rows], mapping)


def _first(file: OpenFile, mapping: ImportMapping) -> list[Rows]:
    first: list[Rows] = []
    wanted = SAMPLE_ROWS
    for piece in file.pieces(SAMPLE_ROWS):
        for rows in rows_of(piece, mapping, wanted):
            first.append(rows)
            wanted -= len(rows)
            if wanted <= 0:
                return first
    return first


def _check_rejected(file: SourceFile, judged: Sequence[Judged], mapping: ImportMapping) -> None:
    total = sum(map(len, judged))
    if total < FEW_ROWS:
        return
    counts = sum(np.bincount(part.reason, minlength=max(Reason) + 1) for part in judged)
    assert isinstance(counts, np.ndarray)
    counts[Reason.OK] = 0
    reason = Reason(int(counts.argmax()))
    if counts[reason] * 2 <= total:
        return
    part = next(part for part in judged if (part.reason == reason).any())
    example = np.flatnonzero(part.reason == reason)[:1]
    row, number = one_line(part.shown(example)[0][:_SHOWN_CHARS]), part.row_number[example[0]]
    raise MappingError(
        f"{file.name}: {counts[reason]:,} of the first {total:,} rows are rejected: "
        f"{reason.label}; row {number:,} (from 0) is {row}",
        hint=f"{_hint(file, reason, mapping)}; if it is meant: --yes",
        reason="mostly_rejected",
    )


def _hint(file: SourceFile, reason: Reason, mapping: ImportMapping) -> str:
    target = _TARGETS.get(reason)
    if target == "ingest_time" and mapping.ingest_is_event:
        target = "event_time"
    if target is None or target not in mapping:
        if file.format == "csv":
            return "as many fields in a row as in the header? --separator, --encoding, --no-header"
        return "look at the row, and at the file's encoding"
    names = "; names need :hash" if reason in (Reason.BAD_PROFILE, Reason.BAD_TITLE) else ""
    return f"look at --map {target}={mapping.sources[target]}{names}"


def _check_median(
    file: SourceFile, target: str, source: Source, rows: Sequence[Rows], timezone: str | None
) -> None:
    cells = [times_ms(part.cells[source.column], source, timezone) for part in rows]
    times = np.sort(np.concatenate(
        [c.value[~(c.absent | c.unreadable)] for c in cells] or [np.zeros(0, np.int64)]
    ))  # fmt: skip
    values = sum(int((~c.absent).sum()) for c in cells)
    where = f"{file.name}: column {source.column!r} for {target}"
    if not values:
        return
    if not len(times):
        _refuse_unreadable(where, target, source, rows, values)
    median_ms = int(times[(len(times) - 1) // 2])
    if _plausible(median_ms):
        return
    raise MappingError(
        f"{where} in {source.unit or 'its own type'}: the median would be {_year(median_ms)}, "
        "expected a time from 2000 to 2099",
        hint=_unit_hint(target, source, median_ms) or "if it is meant: --yes",
        reason="implausible_time",
    )


def _refuse_unreadable(
    where: str, target: str, source: Source, rows: Sequence[Rows], values: int
) -> NoReturn:
    column = next(r.cells[source.column] for r in rows if len(r.cells[source.column].drop_null()))
    example = str(text_of(column.drop_null().slice(0, 1))[0])[:100]
    how = f"strptime({source.pattern})" if source.pattern is not None else source.unit
    raise MappingError(
        f"{where}: none of its {values:,} values can be read as {how or 'a timestamp'}, "
        f"such as {example!r}",
        hint=f"s, ms, us, ns, iso, or a pattern: --map '{target}={source.column}:"
        "strptime(%d.%m.%Y %H:%M:%S)'",
        reason="implausible_time",
    )


def _unit_hint(target: str, source: Source, median_ms: int) -> str | None:
    if source.unit not in EPOCH_UNITS:
        return None
    per_ms = {unit: 1000.0 ** (i - 1) for i, unit in enumerate(EPOCH_UNITS)}
    number = median_ms * per_ms[source.unit]
    likely = [unit for unit, scale in per_ms.items() if _plausible(number / scale)]
    if not likely:
        return None
    return f"the numbers look like {likely[0]}: --map {target}={source.column}:{likely[0]}"


def _plausible(time_ms: float) -> bool:
    return FIRST_MS <= time_ms < END_MS


def _year(time_ms: int) -> str:
    """An instant for people, or about which year where a calendar does not reach."""
    if abs(time_ms) < 200 * FIRST_MS // 30:
        return format_utc(time_ms)
    return f"about the year {1970 + time_ms / 31_556_952_000:,.0f}"
