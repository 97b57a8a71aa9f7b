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
from typing import Any

from impressions.core.errors import CorruptData

VERSION = 1
MAX_BYTES = 256 << 10
_YEAR_10000_MS = 253_402_300_800_000

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
    at_ms: int
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
    started_ms: int
    ended_ms: int
    exit_code: int
    reason: str | None = None
    error: str | None = None
    changed: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    snapshots: Mapping[str, int | None] = field(default_factory=dict)
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
    try:
        found = json.loads(data, parse_constant=_no_number)
        events = tuple(_event(one) for one in _typed(found, "events", list, []))
        return RunRecord(
            job=_typed(found, "job", str),
            run_id=_typed(found, "run_id", str),
            host=_typed(found, "host", str, ""),
            started_ms=_time(found, "started_ms"),
            ended_ms=_time(found, "ended_ms"),
            exit_code=_typed(found, "exit_code", int),
            reason=_typed(found, "reason", str | None, None),
            error=_typed(found, "error", str | None, None),
            changed=_typed(found, "changed", bool, False),
            arguments=_typed(found, "arguments", dict, {}),
            counts=_numbers(found, "counts", int | float),
            snapshots=_numbers(found, "snapshots", int | None),
            extra=_typed(found, "extra", dict, {}),
            cpu_s=_typed(found, "cpu_s", int | float | None, None),
            events=events,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptData(f"{name}: no record of a run ({error})") from None


def _event(found: Any) -> HistoryEvent:
    return HistoryEvent(
        _typed(found, "kind", str), _time(found, "at_ms"), _typed(found, "what", str),
        _typed(found, "detail", str, ""),
    )  # fmt: skip


def _no_number(text: str) -> Any:
    raise ValueError(f"found {text}, which is no JSON")


def _time(found: Any, name: str) -> int:
    at_ms: int = _typed(found, name, int)
    if not 0 <= at_ms < _YEAR_10000_MS:
        raise ValueError(f"{name}: found {at_ms}, expected ms since 1970")
    return at_ms


def _numbers(found: Any, name: str, kind: Any) -> dict[str, Any]:
    """Each of the type, and finite: what is read here is a metric, and a cell of a page."""
    values: dict[str, Any] = _typed(found, name, dict, {})
    for key in values:
        if abs(_typed(values, key, kind) or 0) >= 1 << 63:
            raise ValueError(f"{name}: found {values[key]}")
    return values


def _typed(found: Any, name: str, kind: Any, *default: Any) -> Any:
    """A field of the type; KeyError where it is absent and has no default, else TypeError."""
    if not isinstance(found, dict):
        raise TypeError(f"found {type(found).__name__}, expected an object")
    value = found.get(name, *default) if default else found[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name}: found {type(value).__name__}")
    return value
