"""Files of events as Arrow tables: Parquet, CSV and JSON lines, read without Spark."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch.mapping import ImportMapping, Kind, check_against
from batch.sources import Group, SourceFile, find_files, group_files, identify, kind_of
from impressions.errors import CorruptData

if TYPE_CHECKING:
    import pyarrow as pa

_JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Rows:
    """One file: its rows, what its columns are, and how many lines were no rows."""

    table: pa.Table
    kinds: dict[str, Kind]
    source: str
    broken_lines: int


def read_files(patterns: Sequence[str], mapping: ImportMapping) -> Iterator[Rows]:
    """Each file once, however often it is named.

    Raises:
        UsageError, CorruptData: nothing there, or not what its name says.
        MappingError: the mapping does not fit the columns.
    """
    paths = find_files(patterns)
    json_lines = [path for path in paths if _is_json(path)]
    others = identify(path for path in paths if not _is_json(path))
    for group in group_files(others):
        check_against(mapping, group.kinds, str(group.files[0].path))
        for file in group.files:
            yield _read(file, group, mapping)
    for path in json_lines:
        yield _read_json(path, mapping)


def _is_json(path: Path) -> bool:
    return any(suffix.lower() in _JSON_LINES for suffix in path.suffixes[-2:])


def _read(file: SourceFile, group: Group, mapping: ImportMapping) -> Rows:
    import pyarrow.parquet as pq

    if group.format == "csv":
        return _read_csv(file, group, mapping)
    table = pq.read_table(file.path, columns=list(mapping.columns), partitioning=None)
    return Rows(table, group.kinds, file.source, 0)


def _read_csv(file: SourceFile, group: Group, mapping: ImportMapping) -> Rows:
    """All text, as a CSV is; an empty field is absent unless it is quoted."""
    import pyarrow as pa
    from pyarrow import csv

    broken = 0

    def skip(_row: csv.InvalidRow) -> str:
        nonlocal broken
        broken += 1
        return "skip"

    table = csv.read_csv(
        file.path,
        parse_options=csv.ParseOptions(
            delimiter=group.delimiter, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(group.kinds, pa.string()),
            include_columns=list(mapping.columns),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return Rows(table, group.kinds, file.source, broken)


def _read_json(path: Path, mapping: ImportMapping) -> Rows:
    import pyarrow as pa
    from pyarrow import json

    try:
        table = json.read_json(path)
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"{path}: not readable as JSON lines: {error}") from None
    kinds = {field.name: kind_of(field.type) for field in table.schema}
    check_against(mapping, kinds, str(path))
    with path.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    return Rows(table, kinds, f"file:{digest[:16]}", 0)
