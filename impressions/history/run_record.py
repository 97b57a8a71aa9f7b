"""One run of a job as the history keeps it: what it was asked, how it ended, what it did.

    {"version": 1, "job": "close", "run_id": "5f0c...", "host": "lake-1", "arguments": {...},
     "started_ms": 1794700800000, "ended_ms": 1794700803100, "exit_code": 0, "reason": null,
     "error": null, "changed": true, "counts": {"slots": 1}, "snapshots": {"raw": 7},
     "extra": {...}, "cpu_s": 2.9,
     "events": [{"kind": "healed", "at_ms": ..., "what": "...", "detail": "..."}]}

A reader takes what it knows and leaves the rest, so records of a newer version are read too; a
newer version may add fields and never gives an old one another meaning. `encode` keeps a record
below `MAX_BYTES`: what a job said beyond the common fields (`extra`) goes first, then the
arguments; the record says so under "left_out".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    from pydantic import TypeAdapter

VERSION = 1
MAX_BYTES = 256 << 10
_YEAR_10000_MS = 253_402_300_800_000

Time = Annotated[int, Interval(ge=0, lt=_YEAR_10000_MS)]
_BOUNDS = Interval(gt=-(1 << 63), lt=1 << 63)  # what is read here is a metric, a cell of a page
Whole = Annotated[int, _BOUNDS]
Number = Whole | Annotated[float, _BOUNDS]

JOBS = (
    "land", "import", "forget", "close", "quality", "accept", "compact", "recompute", "export",
    "load", "check", "activate", "rollback", "gc", "reconcile", "week", "housekeeping",
)  # fmt: skip
"""Every job that is recorded. `import` is land --from-files, `forget` land --forget, `recompute`
compact --recompute, `check` bulkload verify."""

HEALED = "healed"
"""The kind of an event in which the system repaired something by itself."""


@dataclass(frozen=True)
class HistoryEvent:
    """Something that happened in a run and that a person may want to know later.

    Attributes:
        kind: a word for counters, such as HEALED.
        what: a short text that is the same every time: "short import completed".
        detail: this time's names and numbers.
    """

    kind: str
    at_ms: Time
    what: str
    detail: str = ""


@dataclass(frozen=True)
class RunRecord:
    """One run that has ended.

    Attributes:
        started_ms, ended_ms: by the wall clock of `host`.
        exit_code: 0, or that of impressions/core/errors.py; 130 was interrupted.
        reason, error: of a failure: the stable word, and the message in one line.
        counts, snapshots, extra: as in the job's report (impressions/terminal/report.py).
        cpu_s: user and system seconds of the process and of children that ended; None: not known.
    """

    job: str
    run_id: str
    host: str
    started_ms: Time
    ended_ms: Time
    exit_code: int
    reason: str | None = None
    error: str | None = None
    changed: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Number] = field(default_factory=dict)
    snapshots: Mapping[str, Whole | None] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    cpu_s: float | None = None
    events: tuple[HistoryEvent, ...] = ()

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0

    @property
    def seconds(self) -> float:
        """How long it took; not below 0, whatever the clock did meanwhile."""
        return max(0, self.ended_ms - self.started_ms) / 1000


def encode(record: RunRecord) -> bytes:
    """JSON, UTF-8, one line, at most MAX_BYTES."""
    document = {"version": VERSION, **asdict(record)}
    left_out: list[str] = []
    for name in ("", "extra", "arguments", "events", "counts", "snapshots"):
        if name:
            left_out.append(name)
            document |= {name: [] if name == "events" else {}, "left_out": left_out}
        data = (json.dumps(document) + "\n").encode()
        if len(data) <= MAX_BYTES:
            return data
    raise ValueError(f"a record of {len(data):,} bytes, expected at most {MAX_BYTES:,}")


def decode(data: bytes, name: str) -> RunRecord:
    """The record in a file called `name`. Raises CorruptData."""
    if len(data) > MAX_BYTES:
        raise CorruptData(f"{name}: {len(data):,} bytes, expected at most {MAX_BYTES:,}")
    from pydantic import ValidationError
    from pydantic_core import from_json

    try:
        from_json(data, allow_inf_nan=False)
        return _reader().validate_json(data, strict=True)
    except ValidationError as error:
        what = error.errors(include_url=False)[0]
        where = ".".join(map(str, what["loc"]))
        said = f"{where}: found {what['input']!r:.40}: {what['msg']}"
    except ValueError as error:
        said = str(error)
    raise CorruptData(f"{name}: no record of a run ({said})")


@cache
def _reader() -> TypeAdapter[RunRecord]:
    from pydantic import TypeAdapter

    return TypeAdapter(RunRecord)
