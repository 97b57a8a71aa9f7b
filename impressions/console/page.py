"""What every page shows beside its own: when it was made, and how old each part of it is.

A page left open does not grow old by itself, so each is asked for again after some seconds, unless
it is paused; a paused one says since when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from impressions.console.answers import Answer
from impressions.console.words import age
from impressions.status.questions import Unknown

REFRESH_S = 10
PAGES = (
    ("path", "/", "Path"),
    ("generations", "/generations", "Generations and hosts"),
    ("quality", "/quality", "Quality"),
    ("reconciliation", "/reconciliation", "Reconciliation"),
    ("jobs", "/jobs", "Jobs"),
    ("profile", "/profile", "Profile"),
)
"""(name, address, title) of each page, in the order of the menu."""

PARTS = {
    "stream": "broker",
    "lake": "tables",
    "published": "directory of generations",
    "host": "this host",
    "copy": "copy of the deltas",
    "servers": "servers of this home",
    "fleet": "other servers",
    "days": "days of events",
    "jobs": "jobs",
    "rotation": "reconciliation",
    "disks": "disks",
    "headroom": "headroom of the topic",
    "runs": "run history",
}
"""What is asked, in words."""


@dataclass(frozen=True)
class Part:
    """An answer beside the page that was made from it.

    Attributes:
        age: since it was given, in words; "" where there is none.
        problem, hint: why it could not be asked.   absent: it was never made: no fault.
    """

    name: str
    title: str
    age: str
    late: bool
    problem: str = ""
    hint: str = ""
    absent: bool = False


def parts_of(answers: Mapping[str, Answer], at_ms: int) -> tuple[Part, ...]:
    """One of each answer, in their order."""
    return tuple(_part(name, answer, at_ms) for name, answer in answers.items())


def _part(name: str, answer: Answer, at_ms: int) -> Part:
    since = "" if answer.at_ms is None else age((at_ms - answer.at_ms) / 1000)
    title = PARTS.get(name, name)
    if isinstance(answer.value, Unknown):
        why = answer.value
        return Part(name, title, since, answer.late, why.because, why.hint or "", why.absent)
    return Part(name, title, since, answer.late)
