"""A CSV by RFC 4180: columns, and rows in bounded batches.

Quoted line breaks, doubled quotes, a byte order mark, line ends of any kind, blank lines (no rows).
The separator is the mapping's, else that of the suffix that counts. Columns are known to the parser
by generated names, so that neither a name twice nor a nameless one matters to those that are not
mapped. An empty field is absent, unless it is quoted: then it is an empty text.

Three things a parser would pass over are caught:

    a row of another width      keeps its place and its line, `broken`
    a row longer than a block   refused with its number: most often an unclosed quote
    a quote never closed        a last row is appended to what is read, and must come back as it is
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from batch.files.identify import SourceFile, suffix
from batch.files.layout import Column, Layout
from batch.files.text import GARBLED, TextStream, open_text, replaced
from batch.mapping.grammar import ImportMapping
from batch.mapping.numbers import exact
from batch.mapping.rows import Mask, Rows
from batch.mapping.shown import MAX_CHARS
from impressions.core.errors import CorruptData, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 4 << 20
_LAST = "=end of file="  # every field of the row that is appended


def columns_of(file: SourceFile, mapping: ImportMapping) -> Layout:
    """What the first line says.

    Raises:
        UsageError: an empty file, or another kind of file.
        CorruptData: a first line that cannot be read.
    """
    with open_text(file, mapping.reading.encoding) as stream:
        start = io.BufferedReader(stream, BLOCK_BYTES).read(BLOCK_BYTES)
        garbled = stream.garbled
    separator = separator_of(file, mapping)
    lines = io.StringIO(start.decode("utf-8", "replace"), newline="")
    try:
        names = next((row for row in csv.reader(lines, delimiter=separator) if row), None)
    except csv.Error as error:
        raise CorruptData(
            f"{file.name}: its first line cannot be read as CSV: {error}",
            hint="does it begin with a line that names the columns?",
        ) from None
    if names is None:
        raise UsageError(
            f"{file.name}: nothing but blank lines, expected a line that names the columns",
            hint="leave it out, or write it again", reason="empty_file",
        )  # fmt: skip
    if not mapping.reading.header:
        names = [str(number) for number in range(1, len(names) + 1)]
    if garbled:
        names = [replaced(name) for name in names]
    columns = tuple(Column(name, "plain", i) for i, name in enumerate(names))
    return Layout(columns, len(columns))


def separator_of(file: SourceFile, mapping: ImportMapping) -> str:
    return mapping.reading.separator or ("\t" if suffix(file.path) == ".tsv" else ",")


def hint_of(layout: Layout, mapping: ImportMapping, separator: str) -> str | None:
    """What to say where a mapped column is not there: another separator, or no header."""
    names = [column.name for column in layout.columns]
    for other in ";\t|,":
        split = {part.strip().strip('"') for name in names for part in name.split(other)}
        splits = other != separator and any(other in name for name in names)
        if splits and any(column in split for column in mapping.columns):
            return f"fields separated by {other!r}? --separator {_spelled(other)}"
    if any("\0" in name for name in names):
        return "text of two bytes a character? --encoding utf-16-le"
    if any("\ufffd" in name for name in names):
        return "not in UTF-8? --encoding latin-1, cp1252, ..."
    if names[0].lower().startswith("sep="):
        return "the first line is Excel's: remove it"
    if any(exact(name) is not None for name in names):
        return "no header line? --no-header, then the columns are 1, 2, ..."
    return None


def rows_of(file: SourceFile, layout: Layout, mapping: ImportMapping, rows: int) -> Iterator[Rows]:
    """All rows in order, at most `rows` at a time.

    Raises:
        CorruptData: an unclosed quote, a row that is too long, a file that is cut.
    """
    separator = separator_of(file, mapping)
    tail = "\n" + separator.join([_LAST] * layout.width) + "\n"
    with open_text(file, mapping.reading.encoding, tail) as stream:
        yield from _Reading(file, layout, mapping, stream, separator).batches(rows)


@dataclass
class _Reading:
    file: SourceFile
    layout: Layout
    mapping: ImportMapping
    stream: TextStream
    separator: str

    def __post_init__(self) -> None:
        self._broken: list[tuple[int, str]] = []  # (row, line), ascending, not yet handed over
        self._next = 0  # row that comes next
        self._header = 1 if self.mapping.reading.header else 0
        self._columns = self.layout.columns

    def batches(self, rows: int) -> Iterator[Rows]:
        """Holds the last row back until another follows, for the appended one is no row."""
        import pyarrow as pa

        held: pa.RecordBatch | None = None
        skip = self._header
        try:
            for batch in self._open():
                self._check_header()
                skipped = min(skip, batch.num_rows)
                batch, skip = batch.slice(skipped), skip - skipped
                if held is not None and (batch.num_rows or len(self._broken) > rows):
                    yield from self._numbered(held, rows)
                    held = None
                if batch.num_rows:
                    yield from self._numbered(batch.slice(0, batch.num_rows - 1), rows)
                    held = batch.slice(batch.num_rows - 1)
                elif held is None:
                    yield from self._numbered(batch, rows)
        except pa.ArrowInvalid as error:
            raise self._refusal(error) from None
        if skip or held is None or any(column[0].as_py() != _LAST for column in held.columns):
            raise self._unclosed()
        yield from self._numbered(held.slice(1), rows)

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow

        names = [f"c{i}" for i in range(self.layout.width)]
        mapped = [names[column.index] for column in self._columns]
        return arrow.open_csv(
            pa.PythonFile(self.stream, mode="r"),
            read_options=arrow.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=names
            ),
            parse_options=arrow.ParseOptions(
                delimiter=self.separator,
                newlines_in_values=True,
                invalid_row_handler=self._note_broken,
            ),
            convert_options=arrow.ConvertOptions(
                include_columns=mapped,
                column_types=dict.fromkeys(mapped, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                check_utf8=False,
            ),
        )

    def _note_broken(self, row: Any) -> str:
        line = row.text if len(row.text) <= MAX_CHARS else row.text[: MAX_CHARS + 1]
        line = replaced(line) if self.stream.garbled else line
        self._broken.append((row.number - 1 - self._header, line))
        return "skip"

    def _numbered(self, batch: pa.RecordBatch, rows: int) -> Iterator[Rows]:
        """The rows of a batch and the broken ones among and right after them, in order."""
        n = batch.num_rows
        before = [row - self._next - i for i, (row, _) in enumerate(self._broken)]
        taken = [line for line, place in zip(self._broken, before, strict=True) if place <= n]
        del self._broken[: len(taken)]
        places = np.array([row - self._next for row, _ in taken], np.int64)
        total = n + len(taken)
        broken = {row - self._next: line for row, line in taken}
        columns = [self._spread(column, places, total) for column in batch.columns]
        for start in range(0, total, rows):
            end = min(start + rows, total)
            cells, garbled = self._cells([column.slice(start, end - start) for column in columns])
            yield Rows(
                row_number=np.arange(self._next + start, self._next + end),
                cells=cells,
                garbled=garbled,
                broken={p - start: broken[p] for p in sorted(broken) if start <= p < end},
            )
        self._next += total

    def _spread(self, column: pa.Array, broken: Any, total: int) -> pa.Array:
        """The column with nulls where rows are broken."""
        import pyarrow as pa

        if not len(broken):
            return column
        good = np.ones(total, np.bool_)
        good[broken] = False
        return column.take(pa.array(np.cumsum(good) - 1, mask=~good))

    def _cells(self, columns: Sequence[pa.Array]) -> tuple[dict[str, pa.Array], Mask]:
        """Cells by name, bytes that are no text as U+FFFD, and the rows that hold such."""
        import pyarrow.compute as pc

        garbled = np.zeros(len(columns[0]), np.bool_)
        cells = {}
        for column, values in zip(self._columns, columns, strict=True):
            if self.stream.garbled:
                marked = pc.match_substring_regex(values, GARBLED).fill_null(False)
                hits = marked.to_numpy(zero_copy_only=False)
                if hits.any():
                    garbled |= hits
                    values = pc.replace_substring_regex(values, GARBLED, "\ufffd")
            cells[column.name] = values
        return cells, garbled

    def _check_header(self) -> None:
        """Its names were read by another parser: should the two ever differ, no row is trusted."""
        if self._broken and self._broken[0][0] < 0:
            raise CorruptData(
                f"{self.file.name}: its first line reads as {self.layout.width} names or as "
                f"another number, by how its quotes are taken: {self._broken[0][1][:200]!r}",
                hint="write names by RFC 4180: a quote in a name is doubled",
            )

    def _refusal(self, error: Exception) -> CorruptData:
        if "straddling" in str(error):
            return CorruptData(
                f"{self.file.name}: row {self._next:,} (from 0), or one soon after, is longer than "
                f"{BLOCK_BYTES >> 20} MiB, as after a quote that is never closed",
                hint="write fields by RFC 4180: a quote in a field is doubled",
            )
        return CorruptData(f"{self.file.name}: not readable as CSV: {error}")

    def _unclosed(self) -> CorruptData:
        return CorruptData(
            f"{self.file.name}: a quote in row {self._next:,} (from 0), or soon after, is never "
            "closed, so what follows is one field",
            hint="was it copied completely? A quote in a field is doubled",
        )


def _spelled(separator: str) -> str:
    return "tab" if separator == "\t" else f"'{separator}'"
