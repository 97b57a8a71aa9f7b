"""A stage: a place where impressions pass or wait, and whether it is well. Words of both paths.

ok     well
none   not there yet, or not configured: no fault of anybody
look   it works, and somebody should look at it
bad    wrong now: it does not answer, is damaged, or makes answers incomplete
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from impressions.process.registry import Running
from impressions.status.disks import Disk
from impressions.status.facts import HostStatus, Lake, Listed, Rotation
from impressions.status.headroom import Headroom
from impressions.status.jobs import AHEAD_MS, Jobs
from impressions.status.questions import Unknown
from impressions.status.serving import Copy, Server
from impressions.status.stream import Stream
from impressions.terminal.console import human_age

State = Literal["ok", "none", "look", "bad"]
Problem = tuple[str, str | None]
"""What is wrong, and the line that helps."""


@dataclass(frozen=True)
class Stage:
    """One place where impressions pass or wait.

    Attributes:
        line: for people.
        problems: (what, hint) pairs.
        facts: for programs; ages in seconds, times in ms.
        damaged: bytes are not what they should be.
    """

    name: str
    state: State
    line: str
    problems: tuple[Problem, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    damaged: bool = False


NOT_ASKED = Unknown("not asked", absent=True)


@dataclass(frozen=True)
class Found:
    """Everything that was asked; any of it may be `Unknown`.

    Attributes:
        at_ms: when the last of it was answered. What changes by the second has a time of its own.
        processes: of this home that run.   died: that were killed and not started again.
    """

    at_ms: int
    stream: Stream | Unknown
    lake: Lake | Unknown
    published: Sequence[Listed] | Unknown
    host: HostStatus | Unknown
    copy: Copy | Unknown
    servers: Sequence[Server] | Unknown
    processes: tuple[Running, ...]
    headroom: Headroom | Unknown = NOT_ASKED
    jobs: Jobs | Unknown = NOT_ASKED
    rotation: Rotation | Unknown = NOT_ASKED
    disks: Sequence[Disk] | Unknown = NOT_ASKED
    died: tuple[Running, ...] = ()


def unknown(name: str, why: Unknown) -> Stage:
    """A stage that could not be asked: every line stands for itself, also under the same fault."""
    if why.absent:
        line = why.because if why.hint is None else f"{why.because}: {why.hint}"
        return Stage(name, "none", line)
    return Stage(name, "bad", why.because, ((why.because, why.hint),), damaged=why.damaged)


def plural(word: str, things: Any) -> str:
    return word if len(things) == 1 else f"{word}s"


def age_s(at_ms: int, then_ms: int | None) -> float | None:
    """Seconds between two times, the second of which may not be known."""
    return None if then_ms is None or then_ms <= 0 else (at_ms - then_ms) / 1000


_STARTS = {
    "serve": "impressions serve", "follower": "impressions serve", "speed": "impressions speed",
    "land": "impressions land --every 1h", "reconcile": "impressions reconcile --every 10m",
    "exporter": "impressions exporter", "week": "impressions week --latest",
}  # fmt: skip
"""What starts a process of a kind."""


def deaths(found: Found, *kinds: str) -> list[Problem]:
    """The problem of each process that was killed, and in whose place none was started."""
    problems: list[Problem] = []
    for one in found.died:
        if one.kind in kinds:
            which = f"pid {one.pid}" + (f", {one.address}" if one.address else "")
            file = f"run/{one.kind}-{one.pid}.json in home says that it ran"
            what = f"{one.kind} ({which}) died, and none was started since; {file}"
            problems.append((what, _STARTS[one.kind]))
    return problems


def future(at_ms: int, times_ms: Iterable[int], what: str) -> list[Problem]:
    """The problem of a time that has not come."""
    ahead_ms = max(times_ms, default=at_ms) - at_ms
    if ahead_ms <= AHEAD_MS:
        return []
    message = f"{what} lies {human_age(ahead_ms / 1000)} in the future"
    hint = "a clock is wrong: this host's, the broker's, or that of the process that said it"
    return [(message, hint)]


def ago(at_ms: int, then_ms: int) -> str:
    """`4.2 s ago`; the beginning of time is not an age."""
    if then_ms <= 0:
        return "nothing yet"
    return f"{human_age(max(0.0, (at_ms - then_ms) / 1000))} ago"
