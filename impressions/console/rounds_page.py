"""Reconciliation: how far it is, what its last rounds compared, and which events they named. Pure.

In: the state of the rotation, and the runs of `reconcile` in the history. Profile ids are masked in
everything; an event is named by its place in the topic or file, which says where to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from impressions.console.jobs_page import state_of
from impressions.console.masking import Masking
from impressions.console.words import ago, number, time
from impressions.history.run_record import RunRecord
from impressions.status.facts import Rotation
from impressions.status.questions import Unknown

_ROUNDS, _EVENTS = 20, 50


@dataclass(frozen=True)
class RotationView:
    """In words."""

    full_age: str
    begun: str
    profiles: str


@dataclass(frozen=True)
class RoundRow:
    """A round: what it compared, and what differed."""

    at: str
    age: str
    state: str
    compared: str
    differing: str
    events: str
    says: str


@dataclass(frozen=True)
class EventRow:
    """An event behind a difference, and the layers by what they have of it."""

    profile: str
    title: str
    place: str
    event_time: str
    ingest_time: str
    layers: str


def rotation(found: Rotation | Unknown, at_ms: int) -> RotationView | None:
    if isinstance(found, Unknown):
        return None
    full = ago(at_ms, found.full_ms) if found.full_ms else "not yet: the first is under way"
    return RotationView(full, time(found.begun_ms), number(found.profiles))


def rounds(runs: Sequence[RunRecord], at_ms: int, masking: Masking) -> tuple[RoundRow, ...]:
    """The newest first."""
    return tuple(_row(run, at_ms, masking) for run in runs[:_ROUNDS])


def events(runs: Sequence[RunRecord], masking: Masking) -> tuple[EventRow, ...]:
    """Named by the newest round that found anything."""
    for run in runs:
        named = [
            event for finding in _objects(run.extra, "findings") for event in _of(finding, masking)
        ]
        if named:
            return tuple(named[:_EVENTS])
    return ()


def _row(run: RunRecord, at_ms: int, masking: Masking) -> RoundRow:
    counts = run.counts
    profiles, skipped = counts.get("profiles"), counts.get("skipped", 0)
    differing = counts.get("differing")
    state = "bad" if differing else "look" if skipped and run.succeeded else state_of(run)
    return RoundRow(
        time(run.started_ms),
        ago(at_ms, run.started_ms),
        state,
        "-" if profiles is None else number(profiles - skipped),
        number(differing),
        number(counts.get("events")),
        masking.text(_says(run, differing, skipped)),
    )


def _says(run: RunRecord, differing: float | None, skipped: float) -> str:
    if differing is None:
        return run.error or f"exit {run.exit_code}"
    said = "answers are not what their events make" if differing else "raw and answers agree"
    return f"{said}; {number(skipped)} not compared" if skipped else said


def _objects(of: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Those of a list in a report. A record holds what another version or process wrote."""
    several = of.get(name)
    yield from (one for one in (several if isinstance(several, list) else ())
                if isinstance(one, Mapping))  # fmt: skip


def _of(finding: Mapping[str, Any], masking: Masking) -> Iterator[EventRow]:
    profile = finding.get("profile_id")
    for difference in _objects(finding, "differences"):
        for event in _objects(difference, "events"):
            layers = event.get("layers")
            has = layers.items() if isinstance(layers, Mapping) else ()
            yield EventRow(
                masking.id(profile) if isinstance(profile, int) else "-",
                str(event.get("title", "-")),
                f"{event.get('source')} partition {event.get('partition')} "
                f"offset {event.get('offset')} flush {event.get('log_index')}",
                str(event.get("event_time", "-")),
                str(event.get("ingest_time", "-")),
                ", ".join(f"{layer} {what}" for layer, what in has),
            )
