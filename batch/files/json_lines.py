"""JSON lines: one object a line, read line by line, since each may be of another shape.

A value enters as the text that stands in the file: 17850.0 and 1e3 as they are written, true and
false as words, an object or a list as its JSON; null, and a name that is not there, are absent. A
line that is no object keeps its place and its text. Blank lines are no rows.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from batch.files.identify import SourceFile
from batch.files.layout import Column, Layout
from batch.files.text import is_marked, open_text, replaced
from batch.mapping.grammar import REQUIRED, HashOf, ImportMapping
from batch.mapping.rows import Mask, Rows
from batch.mapping.shown import MAX_CHARS
from impressions.core.errors import CorruptData, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_LINE_BYTES = 4 << 20
_BATCH_BYTES = 8 << 20
_SAMPLE = 1_000


def columns_of(file: SourceFile, mapping: ImportMapping) -> Layout:
    """The names in the first 1,000 objects; an optional one may come later in a longer file."""
    names: dict[str, None] = {}
    for number, (line, _) in enumerate(_lines(file, mapping), start=1):
        if isinstance(row := _object(line), dict):
            names.update(dict.fromkeys(row))
        if number >= _SAMPLE:
            names.update(dict.fromkeys(_optional(mapping) if names else ()))
            break
    if not names:
        raise UsageError(
            f"{file.name}: none of its first lines is a JSON object, expected one object a line",
            hint="an array of objects? jq -c '.[]' writes JSON lines", reason="json_lines",
        )  # fmt: skip
    return Layout(tuple(Column(name, "plain", i) for i, name in enumerate(names)), len(names))


def rows_of(file: SourceFile, layout: Layout, mapping: ImportMapping, rows: int) -> Iterator[Rows]:
    """All lines in order, at most `rows` at a time. Raises CorruptData."""
    batch: list[str] = []
    size = first = 0
    garbled = False
    for line, garbled in _lines(file, mapping):
        batch.append(line)
        size += len(line)
        if len(batch) >= rows or size > _BATCH_BYTES:
            yield _rows(batch, first, mapping, garbled)
            first, size = first + len(batch), 0
            batch = []
    if batch:
        yield _rows(batch, first, mapping, garbled)


def _lines(file: SourceFile, mapping: ImportMapping) -> Iterator[tuple[str, bool]]:
    """(line, whether the file is garbled so far)."""
    number = 0
    with open_text(file, mapping.reading.encoding) as stream:
        buffered = io.BufferedReader(stream, 1 << 20)
        while line := buffered.readline(_LINE_BYTES + 1):
            if len(line) > _LINE_BYTES:
                raise CorruptData(
                    f"{file.name}: row {number:,} (from 0) is longer than "
                    f"{_LINE_BYTES >> 20} MiB, expected one object a line",
                    hint="an array of objects? jq -c '.[]' writes JSON lines",
                )
            text = line.decode("utf-8").strip()
            if text:
                number += 1
                yield text, stream.garbled


def _rows(lines: list[str], first: int, mapping: ImportMapping, marked: bool) -> Rows:
    objects = [_object(line) for line in lines]
    rows = [row if isinstance(row, dict) else {} for row in objects]
    columns = {name: [_text(row.get(name)) for row in rows] for name in mapping.columns}
    garbled = np.zeros(len(lines), np.bool_)
    for i in [i for i, line in enumerate(lines) if marked and is_marked(line)]:
        for values in columns.values():
            if is_marked(value := values[i] or ""):
                garbled[i], values[i] = True, replaced(value)
    return Rows(
        row_number=np.arange(first, first + len(lines)),
        cells={name: _array(values, garbled) for name, values in columns.items()},
        garbled=garbled,
        broken={
            i: (replaced if marked else str)(lines[i][: MAX_CHARS + 1])
            for i, row in enumerate(objects)
            if not isinstance(row, dict)
        },
    )


def _object(line: str) -> Any:
    """What the line holds; None where it is no JSON."""
    try:
        return json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def _array(values: list[str | None], garbled: Mask) -> pa.Array:
    """The column; half a surrogate pair, written as an escape, is no text: noted in `garbled`."""
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        for i, value in enumerate(values):
            clean = (value or "").encode("utf-8", "replace").decode()
            if clean != (value or ""):
                garbled[i], values[i] = True, clean
        return pa.array(values, pa.string())


def _optional(mapping: ImportMapping) -> list[str]:
    """Columns that a file may name late."""
    needed = (*REQUIRED, "ingest_time")
    return [
        source.column
        for target, source in mapping.sources.items()
        if target not in needed and not isinstance(source, HashOf)
    ]
