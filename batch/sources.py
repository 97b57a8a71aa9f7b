"""The files of an import: found, named by their bytes, and sorted into groups of one shape.

In: paths, directories and globs. Out: `SourceFile`s (each with its identity, `file:` and the first
16 hex digits of the sha256 of its bytes) in `Group`s whose files have the same columns and types,
so that a group is one Spark read. Two files with the same bytes are one.

Format by name: .parquet .pq, .csv .tsv (also .gz .bz2); a file of another name is Parquet if it
begins with that format's magic. In a directory, names that begin with `_` or `.` are left out, as
Spark does, and so is whatever is neither.
"""

from __future__ import annotations

import bz2
import csv
import glob
import gzip
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from batch.mapping import Kind
from impressions.errors import CorruptData, UsageError
from impressions.shell.console import progress
from impressions.shell.extras import require

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["parquet", "csv"]

_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv",
}  # fmt: skip
_OPENERS: dict[str, Callable[..., IO[Any]]] = {".gz": gzip.open, ".bz2": bz2.open}
_PARQUET_MAGIC = b"PAR1"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class SourceFile:
    """One file of events; `source` is what its rows carry."""

    path: Path
    format: Format
    size_bytes: int
    source: str


@dataclass(frozen=True)
class Group:
    """Files of one format with the same columns, in the same order and of the same kinds."""

    files: tuple[SourceFile, ...]
    format: Format
    kinds: dict[str, Kind]
    delimiter: str = ","


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Every file behind the paths, directories and globs, each once.

    Raises:
        UsageError: nothing there, or a file of an unknown format.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            files = [p for p in sorted(path.rglob("*")) if _is_data(p, path)]
        elif path.is_file():
            files = [path]
        else:
            files = [p for p in map(Path, sorted(glob.glob(str(path), recursive=True))) if
                     p.is_file()]  # fmt: skip
        if not files:
            what = "holds no Parquet or CSV file" if path.is_dir() else "no such file"
            raise UsageError(
                f"{pattern}: {what}",
                hint="name files, directories or globs that this machine can read",
                reason="no_files",
            )
        found.update(dict.fromkeys(p.absolute() for p in files))
    return list(found)


def identify(paths: Iterable[Path]) -> list[SourceFile]:
    """Hashes the files; one with the same bytes as another is left out."""
    paths = list(paths)
    files: dict[str, SourceFile] = {}
    sizes = [path.stat().st_size for path in paths]
    with progress("identify files", total=sum(sizes), unit="bytes") as bar:
        for path, size_bytes in zip(paths, sizes, strict=True):
            source = f"file:{_sha256(path, bar.advance)[:16]}"
            files.setdefault(source, SourceFile(path, format_of(path), size_bytes, source))
    return list(files.values())


def group_files(files: Iterable[SourceFile]) -> list[Group]:
    """Files of one shape together: the same columns in the same order, of the same types.

    Raises:
        CorruptData: a file that is not what its name says.
        UsageError: a CSV without a usable header.
    """
    shapes: dict[tuple[str, ...], list[SourceFile]] = {}
    kinds_of: dict[tuple[str, ...], dict[str, Kind]] = {}
    for file in files:
        types = _parquet_types(file) if file.format == "parquet" else _csv_columns(file)
        shape = (
            file.format,
            _delimiter(file),
            *(f"{name} {type_}" for name, type_ in types.items()),
        )
        shapes.setdefault(shape, []).append(file)
        kinds_of[shape] = {name: kind_of(type_) for name, type_ in types.items()}
    return [
        Group(tuple(members), members[0].format, kinds_of[shape], _delimiter(members[0]))
        for shape, members in shapes.items()
    ]


def format_of(path: Path) -> Format:
    """By name, else by the first bytes. Raises UsageError."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _OPENERS]
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    with path.open("rb") as data:
        if data.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC:
            return "parquet"
    raise UsageError(
        f"{path}: found neither Parquet nor a name that ends in {', '.join(_SUFFIXES)}",
        hint="rename it after what it is, such as events.csv",
        reason="unknown_format",
    )


def _is_data(path: Path, root: Path) -> bool:
    if any(part.startswith(("_", ".")) for part in path.relative_to(root).parts):
        return False
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _OPENERS]
    return path.is_file() and bool(suffixes) and suffixes[-1] in _SUFFIXES


def _sha256(path: Path, advance: Callable[[float], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as data:
        while chunk := data.read(_CHUNK_BYTES):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()


def _delimiter(file: SourceFile) -> str:
    return "\t" if ".tsv" in file.path.suffixes else ","


def _parquet_types(file: SourceFile) -> dict[str, pa.DataType | None]:
    require("pyarrow", "spark")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file.path)
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).partition("\n")[0]
        raise CorruptData(
            f"{file.path}: not readable as Parquet ({file.size_bytes} bytes): {first_line}",
            hint="was it copied whole?",
        ) from None
    return dict(zip(schema.names, schema.types, strict=True))


def kind_of(type_: pa.DataType | None) -> Kind:
    """What a mapping may do with an Arrow type; None is a column of a CSV."""
    if type_ is None:
        return "csv_text"
    import pyarrow as pa

    is_ = pa.types
    if is_.is_dictionary(type_):
        return kind_of(type_.value_type)
    if is_.is_timestamp(type_):
        return "timestamp_ns" if type_.unit == "ns" else "timestamp"
    tests: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
        (is_.is_integer, "integer"),
        (is_.is_floating, "floating"),
        (is_.is_decimal, "decimal"),
        (is_.is_boolean, "boolean"),
        (is_.is_string, "text"),
        (is_.is_large_string, "text"),
    )
    return next((kind for test, kind in tests if test(type_)), "other")


def _csv_columns(file: SourceFile) -> dict[str, None]:
    """The names in the header line."""
    opener = _OPENERS.get(file.path.suffix.lower(), open)
    try:
        with opener(file.path, "rt", encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines, delimiter=_delimiter(file)), [])
    except (OSError, UnicodeDecodeError, EOFError, csv.Error) as error:
        raise CorruptData(f"{file.path}: not readable as CSV in UTF-8: {error}") from None
    twice = {name for name in header if header.count(name) > 1}
    if not header or not all(header) or twice:
        found = f"{', '.join(sorted(twice))} more than once" if twice else repr(header)
        raise UsageError(
            f"{file.path}: the first line names the columns; found {found}",
            hint="write a header line with one distinct name per column",
            reason="csv_header",
        )
    return dict.fromkeys(header)
