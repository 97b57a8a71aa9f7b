"""Files read to the end through a mapping, as rows to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.files.find import find_files
from batch.files.identify import identify
from batch.files.reader import open_files, read
from batch.files.sample import look_first
from batch.mapping.grammar import read_mapping
from batch.mapping.judge import Judged
from impressions.core.event import Reason
from impressions.core.spec import Spec

MS = 1_762_000_000_000  # 2025-11-01T12:26:40Z
NOW_MS = MS + 3_600_000
PLAIN = ("profile_id=u", "title_id=t", "event_time=ms:ms")
SPEC = Spec()


@dataclass(frozen=True)
class Result:
    """`rows`: (file name, row number, reason, profile, title) in the order read."""

    rows: list[tuple[str, int, str, int, int]]
    parts: list[Judged]
    left_out: list[str]

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(row[2] for row in self.rows))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(profile, title) of the rows that count."""
        return [row[3:] for row in self.rows if row[2] == "ok"]

    def column(self, name: str) -> list[Any]:
        """A canonical column over all rows."""
        arrays = [getattr(part, name) for part in self.parts]
        return [x for a in arrays for x in (a.tolist() if name != "device_type" else a.to_pylist())]

    @property
    def shown(self) -> list[str]:
        """Rejected rows as they stood in the file."""
        return [text for part in self.parts for text in part.shown(np.flatnonzero(part.reason))]


def take(
    *paths: Path | str,
    map_: Sequence[str] = PLAIN,
    ingest: str | None = "event",
    max_rows: int = 1 << 20,
    now_ms: int = NOW_MS,
    look: bool = True,
    **options: Any,
) -> Result:
    """Found, identified, looked at and read: what an import does before it writes."""
    mapping = read_mapping(list(map_), None, ingest, **options)
    found = find_files([str(path) for path in paths])
    opened = open_files(identify(found.files), mapping)
    if look:
        look_first(opened, mapping, SPEC, now_ms)
    rows, parts = [], []
    for file in opened:
        for piece in file.pieces(max_rows):
            for part in read(piece, mapping, SPEC, now_ms):
                parts.append(part)
                labels = [Reason(code).label for code in part.reason.tolist()]
                names = [file.file.path.name] * len(part)
                columns = (part.row_number.tolist(), labels, part.profile_id.tolist())
                rows += list(zip(names, *columns, part.title_id.tolist(), strict=True))
    return Result(rows, parts, [str(left) for left in found.left_out])


def parquet(path: Path, columns: dict[str, Any] | pa.Table | None = None, **options: Any) -> Path:
    """Writes a table; (1, 10), (2, 11), (3, 12) where none is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    given = columns if columns is not None else {"u": [1, 2, 3], "t": [10, 11, 12], "ms": [MS] * 3}
    table = given if isinstance(given, pa.Table) else pa.table(given)
    pq.write_table(table, path, **options)
    return path


def text(path: Path, content: str | bytes) -> Path:
    """Writes text as it is, no line end translated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
