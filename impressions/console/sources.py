"""Which questions the pages ask, and who answers them: the layers by name, as `status` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from impressions.clock import Clock
from impressions.console.answers import Answers
from impressions.history.run_history import RunHistory
from impressions.history.run_record import RunRecord
from impressions.process.extras import named
from impressions.process.registry import running
from impressions.settings.model import Settings
from impressions.status import report
from impressions.status.jobs import AHEAD_MS
from impressions.status.questions import Absent, ask_all
from impressions.status.serving import TIMEOUT_S, Server, describe, reachable

STATUS = tuple(name for name in report.QUESTIONS if name != "headroom")
LATER = ("headroom",)
"""What the report of `impressions status` is made from: asked first, and with those answers."""

_NEWEST = 400


@dataclass(frozen=True)
class Runs:
    """The newest runs of all jobs, the newest first, and files that hold no record."""

    runs: tuple[RunRecord, ...]
    damaged: tuple[str, ...]


def answers_of(settings: Settings, clock: Clock) -> Answers:
    """All questions by name; `PARTS` (page.py) has the names for people."""
    asked: dict[str, Callable[[], Any]] = {
        **report.questions(settings, clock),
        "fleet": lambda: read_fleet(settings),
        "days": lambda: named("batch.status.days:read_days")(settings),
        "runs": _runs(settings, clock),
    }
    section = settings.console
    answers = Answers(asked, clock, section.fresh_s, section.wait_s)
    asked |= report.later_questions(settings, LastSaid(answers))
    return answers


class LastSaid(Mapping[str, Any]):
    """The last answers as a mapping, read at the moment of the look-up."""

    def __init__(self, answers: Answers):
        self._answers = answers

    def __getitem__(self, name: str) -> Any:
        return self._answers.last(name)

    def __iter__(self) -> Iterator[str]:
        return iter(STATUS)

    def __len__(self) -> int:
        return len(STATUS)


def read_fleet(settings: Settings) -> tuple[Server, ...]:
    """What each of `console.servers` says, all asked at once. Raises Absent where none is named."""
    addresses = others(settings)
    if not addresses:
        raise Absent("no other servers are named", 'console.servers = "host:50051,..."')
    asked = {address: partial(describe, settings, address) for address in addresses}
    said = ask_all(asked, 2 * TIMEOUT_S)
    return tuple(Server(0, address, said[address]) for address in addresses)


def others(settings: Settings) -> tuple[str, ...]:
    """The servers of other hosts, as the settings name them."""
    return tuple(text.strip() for text in settings.console.servers.split(",") if text.strip())


def addresses(settings: Settings) -> tuple[str, ...]:
    """Every server that a profile may be looked up at: of this home, then the others. Only these:
    a visitor cannot send the console elsewhere."""
    here = [one.address for one in running(settings) if one.kind == "serve" and one.address]
    found = [reachable(address) for address in here] or [reachable(settings.serving.listen)]
    return tuple(dict.fromkeys([*found, *others(settings)]))


def _runs(settings: Settings, clock: Clock) -> Callable[[], Runs]:
    """One reader for all pages, because it keeps what it has read. Without runs of a time that has
    not come, as in `status`, which counts them."""
    history = RunHistory(settings.history_uri)

    def read() -> Runs:
        runs = history.runs(newest=_NEWEST, until_ms=clock() + AHEAD_MS)
        return Runs(runs, tuple(sorted(history.damaged)))

    return read
