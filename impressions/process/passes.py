"""Which passes of a job that repeats are recorded: enough to see each change, never 400 in minutes.

A pass is recorded

    at once          if it failed and the one before did not, or the other way round
    every 10 min     if something changed since the last record
    once an hour     otherwise; a failure that goes on, too

and the record stands for all passes since the last one: their counts are added, their events kept,
`extra.passes` says how many; its start and end are those of the last pass, so its duration is one
pass's. What is still unrecorded at the end of the block is recorded then.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from impressions.history.run_record import RunRecord
from impressions.process import recording

if TYPE_CHECKING:
    from impressions.settings.model import Settings

_P = ParamSpec("_P")
_R = TypeVar("_R")
CHANGES_EVERY_MS = 600_000
AT_LEAST_EVERY_MS = 3_600_000


@dataclass
class Passes:
    """The passes since the last record. Pure."""

    _recorded: RunRecord | None = None
    _waiting: list[RunRecord] = field(default_factory=list)

    def add(self, one: RunRecord) -> list[RunRecord]:
        """What is to be recorded after this pass, if anything."""
        last = self._recorded
        if last is None or one.succeeded != last.succeeded:
            before = self.flush()  # for itself: a failure is no part of the successes before it
            self._waiting.append(one)
            return before + self.flush()
        self._waiting.append(one)
        if len(self._waiting) > 1:  # one record however many passes wait
            self._waiting = [_joined(self._waiting)]
        changed = any(each.changed or each.events for each in self._waiting)
        due_ms = CHANGES_EVERY_MS if changed and one.succeeded else AT_LEAST_EVERY_MS
        if (
            not 0 <= one.ended_ms - last.ended_ms < due_ms
        ):  # a clock stepped back: the record shows it
            return self.flush()
        return []

    def flush(self) -> list[RunRecord]:
        """What was not recorded yet, as one record."""
        if not self._waiting:
            return []
        self._recorded = _joined(self._waiting)
        self._waiting = []
        return [self._recorded]


@contextlib.contextmanager
def passes(settings: Settings, job: str) -> Iterator[PassRecorder]:
    """For a job that repeats: its verb is not recorded itself, its passes are."""
    if (verb := recording.outermost()) is not None:
        verb.in_passes = True
    recorder = PassRecorder(settings, job)
    try:
        yield recorder
    finally:
        recorder.keep(recorder.seen.flush())


class PassRecorder:
    """Records passes of one job."""

    def __init__(self, settings: Settings, job: str):
        self.seen = Passes()
        self._settings, self._job = settings, job

    def each(self, one: Callable[_P, _R]) -> Callable[_P, _R]:
        """`one`, each call of which is a pass; whatever it raises goes on."""

        def recorded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with recording.heard(self._settings, self._job, {}) as this:
                try:
                    answer = one(*args, **kwargs)
                except BaseException as error:  # recorded whatever it was; it goes on
                    self.keep(self.seen.add(this.ended(*recording.ended_by(error))))
                    raise
                self.keep(self.seen.add(this.ended(0)))
                return answer

        return recorded

    def keep(self, records: list[RunRecord]) -> None:
        for record in records:
            recording.append(self._settings, record)


def _joined(several: list[RunRecord]) -> RunRecord:
    """The last of them, with the counts, events, CPU seconds and number of all."""
    counts: Counter[str] = Counter()
    for one in several:
        counts.update(one.counts)
    last = several[-1]
    return replace(
        last,
        changed=any(one.changed for one in several),
        counts=dict(counts),
        events=tuple(event for one in several for event in one.events),
        cpu_s=sum(one.cpu_s or 0 for one in several),
        extra={**last.extra, "passes": sum(one.extra.get("passes", 1) for one in several)},
    )
