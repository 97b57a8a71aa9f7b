"""Any file through a mapping to judged rows: the one reader of the import and of the replay.

In three steps:

    open_files    checks the columns of each file against the mapping, before any is read
    pieces        parts that can be read apart, on other machines too: row groups of Parquet, a
                  text file as one piece
    read          a piece as judged rows, in bounded batches and in the order of the file
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batch.files import csv, json_lines, parquet
from batch.files.identify import SourceFile
from batch.files.layout import Layout
from batch.mapping.grammar import ImportMapping
from batch.mapping.judge import Judged, judge
from batch.mapping.rows import Rows
from impressions.core.spec import Spec
from impressions.process.extras import require

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Piece:
    """A part of a file; picklable.

    Attributes:
        rows: of the part; None where only reading shows it (text).
        groups: row groups of a Parquet file; empty for text.
    """

    file: SourceFile
    layout: Layout
    rows: int | None
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class OpenFile:
    """A file whose columns fit the mapping. `group_rows`: of each row group; None for text."""

    file: SourceFile
    layout: Layout
    group_rows: tuple[int, ...] | None

    @property
    def rows(self) -> int | None:
        """As the file says of itself; None where only reading shows it."""
        return None if self.group_rows is None else sum(self.group_rows)

    def pieces(self, max_rows: int) -> list[Piece]:
        """The file in parts of complete row groups, of `max_rows` rows where groups allow it."""
        if self.group_rows is None:
            return [Piece(self.file, self.layout, None)]
        pieces: list[Piece] = []
        groups: list[int] = []
        rows = 0
        for group, count in enumerate(self.group_rows):
            if groups and rows + count > max_rows:
                pieces.append(Piece(self.file, self.layout, rows, tuple(groups)))
                rows, groups = 0, []
            groups.append(group)
            rows += count
        if rows:
            pieces.append(Piece(self.file, self.layout, rows, tuple(groups)))
        return pieces


def open_files(files: Sequence[SourceFile], mapping: ImportMapping) -> list[OpenFile]:
    """The files, in order.

    Raises:
        MappingError: the mapping does not fit the columns.
        UsageError, CorruptData: a file that is empty, cut, or not what its name says.
    """
    require("pyarrow", "bulkload")
    return [_open(file, mapping) for file in files]


def read(piece: Piece, mapping: ImportMapping, spec: Spec, now_ms: int) -> Iterator[Judged]:
    """Judged rows of a piece, at most 65,536 at a time, fewer where rows are wide.

    Raises:
        CorruptData: the file changed meanwhile, does not decode, or holds another number of rows
            than it says.
    """
    for rows in rows_of(piece, mapping, BATCH_ROWS):
        yield judge(rows, mapping, spec, now_ms)


def rows_of(piece: Piece, mapping: ImportMapping, rows: int) -> Iterator[Rows]:
    """The same before they are judged, at most `rows` at a time."""
    file = piece.file
    file.check_unchanged()
    if file.format == "parquet":
        yield from parquet.rows_of(file, piece.layout.columns, piece.groups, rows)
    elif file.format == "csv":
        yield from csv.rows_of(file, piece.layout, mapping, rows)
    else:
        yield from json_lines.rows_of(file, piece.layout, mapping, rows)
    file.check_unchanged()


def _open(file: SourceFile, mapping: ImportMapping) -> OpenFile:
    groups: tuple[int, ...] | None = None
    hint = None
    if file.format == "parquet":
        layout, groups = parquet.columns_of(file)
    elif file.format == "csv":
        layout = csv.columns_of(file, mapping)
        hint = csv.hint_of(layout, mapping, csv.separator_of(file, mapping))
    else:
        layout = json_lines.columns_of(file, mapping)
    layout.check(mapping, file.name, hint)
    return OpenFile(file, layout.mapped(mapping), groups)
