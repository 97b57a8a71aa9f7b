"""Both paths end to end: every part asked at once, then judged (impressions/status/stages.py).

Reads only, and starts no JVM: the broker, the tables' metadata, the directory of generations, this
host's files, its copy of the deltas, its servers, and the list of processes. A part that cannot be
asked says why; the others are shown all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from impressions.clock import Clock, now_ms
from impressions.process.extras import named
from impressions.process.registry import died, running
from impressions.settings.model import Settings
from impressions.status.disks import read_disks
from impressions.status.headroom import read_headroom
from impressions.status.jobs import read_jobs
from impressions.status.questions import Unknown, ask_all
from impressions.status.stage import Found, Stage, age_s
from impressions.status.stages import exit_code, stages

TIMEOUT_S = 15.0
QUESTIONS = (
    "stream", "lake", "published", "host", "copy", "servers", "jobs", "rotation", "disks",
    "headroom",
)  # fmt: skip
"""The fields of Found that are asked, each of which may be Unknown."""


@dataclass(frozen=True)
class Status:
    """What was found, and what it means."""

    found: Found
    stages: tuple[Stage, ...]

    @property
    def exit_code(self) -> int:
        return exit_code(self.stages)

    @property
    def hangs(self) -> bool:
        """Whether a question is still open in a thread, which no interpreter's end can stop."""
        found = self.found
        parts = (getattr(found, name) for name in QUESTIONS)
        return any(isinstance(part, Unknown) and part.late for part in parts)


def look(
    settings: Settings,
    clock: Clock = now_ms,
    timeout_s: float = TIMEOUT_S,
    unfinished: dict[str, threading.Thread] | None = None,
) -> Status:
    """Ask everything; ends within about `timeout_s`, and as long again for the headroom.

    Args:
        unfinished: of looks before, as in `ask_all`.
    """
    answers = ask_all(questions(settings, clock), timeout_s, unfinished)
    answers |= ask_all(later_questions(settings, answers), timeout_s, unfinished)
    return judged(answers, settings, clock())


def questions(settings: Settings, clock: Clock = now_ms) -> dict[str, Callable[[], Any]]:
    """What is asked first of each part, by its name in `Found`."""
    from impressions.status.serving import read_copy, read_servers
    from impressions.status.stream import read_stream

    return {
        "stream": lambda: read_stream(settings, clock),
        "lake": lambda: named("batch.status.lake:read_lake")(settings),
        "published": lambda: named("bulkload.listing:listing")(settings),
        "host": lambda: named("bulkload.host_status:status")(settings, clock),
        "copy": lambda: read_copy(settings, clock),
        "servers": lambda: read_servers(settings),
        "jobs": lambda: read_jobs(settings, clock),
        "rotation": lambda: named("batch.reconciling.rotation:read_rotation")(settings),
        "disks": lambda: read_disks(settings),
    }


def later_questions(settings: Settings, answers: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """What is asked with the first answers in hand, which are read when it is asked."""
    return {
        "headroom": lambda: read_headroom(settings, answers["stream"], answers["lake"]),
    }


def judged(answers: Mapping[str, Any], settings: Settings, at_ms: int) -> Status:
    """What the answers mean, together with the processes that run now, and those that died."""
    alive, dead = tuple(running(settings)), tuple(died(settings))
    found = Found(at_ms=at_ms, processes=alive, died=dead, **answers)
    return Status(found, stages(found, settings))


def document(status: Status) -> dict[str, Any]:
    """The JSON form: stages by name, partitions by number, processes."""
    return {
        "at_ms": status.found.at_ms,
        "ok": status.exit_code == 0,
        "exit_code": status.exit_code,
        "stages": {
            stage.name: {
                "state": stage.state,
                "line": stage.line,
                "problems": [{"problem": what, "hint": hint} for what, hint in stage.problems],
                **stage.facts,
            }
            for stage in status.stages
        },
        "partitions": partitions(status.found),
        "processes": [asdict(process) for process in status.found.processes],
        "died": [asdict(process) for process in status.found.died],
    }


def partitions(found: Found) -> list[dict[str, Any]]:
    """One row per partition: how far each of the parts has come; None where it is not known."""
    if isinstance(found.stream, Unknown):
        return []
    landed = () if isinstance(found.lake, Unknown) else found.lake.landed_offsets
    copy, copied_ms = {}, 0
    if not isinstance(found.copy, Unknown):
        copy, copied_ms = found.copy.shards, found.copy.at_ms
    rows = []
    for p, source in sorted(found.stream.partitions.items()):
        beat, held = found.stream.beats.get(p), copy.get(p)
        rows.append(
            {
                "partition": p,
                "first_offset": source.first,
                "end_offset": source.end,
                "landed_offset": landed[p] if p < len(landed) else None,
                "worker_offset": None if beat is None else beat.offset + 1,
                "worker_age_s": None
                if beat is None
                else age_s(found.stream.at_ms, beat.through_ms),
                "copy_age_s": age_s(copied_ms, held.through_ms) if held else None,
                "copy_restoring": None if held is None else held.restoring,
            }
        )
    return rows
