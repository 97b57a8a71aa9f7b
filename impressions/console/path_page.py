"""The strip: both paths as stages, each with its lag, and the first broken one. Pure.

The stages and their states are those of `impressions status`; here they are put in a row, and
nothing is judged again. Of broken stages in a row the first one is named as the place to look:
those right behind it are late because of it more often than not.

    batch   topic -> land -> close -> quality -> compact, export -> load -> activate -> serve
    live    topic -> speed -> deltas of this host -> serve
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

from impressions.console.masking import Masking
from impressions.console.words import SIGNS, STATES, age
from impressions.status.report import Status
from impressions.status.stage import Stage


@dataclass(frozen=True)
class Place:
    """Where a stage of `status` stands: its name there, its title, and what its figure says."""

    stage: str
    title: str
    figure_says: str


_TOPIC = Place("topic", "Topic", "newest record")
_SERVE = Place("serving", "Serve", "stream through")
PATHS: Mapping[str, tuple[Place, ...]] = {
    "Batch path": (
        _TOPIC,
        Place("landed", "Land", "raw is valid through"),
        Place("closed", "Close", "closed through"),
        Place("quality", "Quality", "judged through"),
        Place("generations", "Compact, export", "newest cutover"),
        Place("loaded", "Load", "generations loaded"),
        Place("active", "Activate", "cutover"),
        _SERVE,
    ),
    "Live path": (
        _TOPIC,
        Place("worker", "Speed", "deltas through"),
        Place("deltas", "Follower", "this host's copy through"),
        _SERVE,
    ),
}
BESIDE = (
    Place("jobs", "Jobs", ""),
    Place("reconciled", "Reconciliation", "compared"),
    Place("disk", "Disks", ""),
)
"""Stages that are on no path, in their order; one that status gets later comes behind them."""

RUNBOOK = {
    "topic": "no-broker.md",
    "landed": "lander-behind.md",
    "closed": "open-slots.md",
    "quality": "quality.md",
    "generations": "weekly-run-late.md",
    "loaded": "bad-generation-files.md",
    "active": "generation-old.md",
    "worker": "no-worker.md",
    "deltas": "copy-behind.md",
    "serving": "incomplete.md",
    "jobs": "job-failed.md",
    "reconciled": "not-reconciled.md",
    "disk": "disk.md",
}
"""Stage -> page of docs/runbook where a person begins."""


@dataclass(frozen=True)
class Drawn:
    """A stage as it is drawn.

    Attributes:
        figure: the lag in words.   figure_says: what it is the lag of.
        problems: (what, hint) pairs.
        behind: title of the broken stage before it, for a broken one.
    """

    name: str
    title: str
    state: str
    sign: str
    word: str
    figure: str
    figure_says: str
    line: str
    problems: tuple[tuple[str, str | None], ...]
    runbook: str
    behind: str = ""


@dataclass(frozen=True)
class Strip:
    """Both paths.

    Attributes:
        paths: (name, stages) pairs.   others: stages that are on no path.
        broken: the first broken stage of each path, each once.
        look: stages somebody should look at.
        found: every problem of every stage, as (stage, what, hint); the broken ones first.
    """

    paths: tuple[tuple[str, tuple[Drawn, ...]], ...]
    others: tuple[Drawn, ...]
    broken: tuple[Drawn, ...]
    look: tuple[Drawn, ...]
    found: tuple[tuple[Drawn, str, str | None], ...]


def strip(status: Status, masking: Masking) -> Strip:
    """Every stage of the report is on it."""
    stages = {stage.name: stage for stage in status.stages}
    draw = partial(_drawn, at_ms=status.found.at_ms, masking=masking)
    rows = {
        name: [draw(stages[p.stage], p) for p in places if p.stage in stages]
        for name, places in PATHS.items()
    }
    behind = {name: first.title for row in rows.values() for name, first in _results(row)}
    paths = tuple(
        (name, tuple(replace(one, behind=behind.get(one.name, "")) for one in row))
        for name, row in rows.items()
    )
    beside = {place.stage: place for place in BESIDE}
    others = tuple(
        draw(stage, beside.get(stage.name) or Place(stage.name, stage.name.capitalize(), ""))
        for stage in status.stages
        if stage.name not in {place.stage for places in PATHS.values() for place in places}
    )
    drawn = {one.name: one for _, row in paths for one in row} | {one.name: one for one in others}
    bad = [one for one in drawn.values() if one.state == "bad"]
    look = [one for one in drawn.values() if one.state == "look"]
    return Strip(
        paths,
        others,
        tuple(one for one in bad if not one.behind),
        tuple(look),
        tuple((one, what, hint) for one in [*bad, *look] for what, hint in one.problems),
    )


def _results(row: Sequence[Drawn]) -> Iterator[tuple[str, Drawn]]:
    """Broken stages right behind a broken one, each with the first of their run. A well one
    between two broken ones parts them: two faults."""
    for is_bad, run in groupby(row, key=lambda one: one.state == "bad"):
        if is_bad:
            first, *behind = run
            yield from ((one.name, first) for one in behind)


def _drawn(stage: Stage, place: Place, at_ms: int, masking: Masking) -> Drawn:
    figure = _FIGURES.get(stage.name, _age)(stage.facts, at_ms)
    problems = tuple(
        (masking.text(what), None if hint is None else masking.text(hint))
        for what, hint in stage.problems
    )
    return Drawn(
        stage.name, place.title, stage.state, SIGNS[stage.state], STATES[stage.state], figure,
        place.figure_says, masking.text(stage.line), problems, RUNBOOK.get(stage.name, ""),
    )  # fmt: skip


def _age(facts: Mapping[str, Any], at_ms: int) -> str:
    return age(facts.get("age_s"))


def _newest(facts: Mapping[str, Any], at_ms: int) -> str:
    return age(facts.get("newest_age_s"))


def _through(facts: Mapping[str, Any], at_ms: int) -> str:
    through_ms = facts.get("through_ms")
    return "-" if through_ms is None else age((at_ms - through_ms) / 1000)


def _count(facts: Mapping[str, Any], at_ms: int) -> str:
    return "-" if "usable" not in facts else str(len(facts["usable"]))


def _served(facts: Mapping[str, Any], at_ms: int) -> str:
    """Of the server that is furthest behind."""
    through = [one.get("stream_through_ms") for one in facts.get("servers", ())]
    known = [ms for ms in through if ms is not None]
    return age((at_ms - min(known)) / 1000) if known else "-"


_FIGURES: Mapping[str, Callable[[Mapping[str, Any], int], str]] = {
    "topic": _newest,
    "quality": _through,
    "generations": _newest,
    "loaded": _count,
    "serving": _served,
}
