"""Questions to parts of the system, with a deadline, and their answers kept for some seconds.

A question is open once at most, however many pages wait for it and however long its part hangs: a
part that never answers costs one thread. An answer is shown with its age. One that is older than
`fresh_s` is asked anew; where the new one is late, the old one stands for at most `KEEP_S` and is
marked as late; after that the part says that it does not answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from impressions.clock import Clock, monotonic_s
from impressions.status.questions import Unknown, ask

KEEP_S = 60.0
Question = Callable[[], Any]


@dataclass(frozen=True)
class Answer:
    """What a part said.

    Attributes:
        value: what it answered, or `Unknown` with the reason.
        at_ms: when the value was there; None where nothing was answered.
        late: a newer answer is being waited for.
    """

    value: Any
    at_ms: int | None
    late: bool = False


class Answers:
    """The questions of all pages. Thread-safe."""

    def __init__(
        self, questions: Mapping[str, Question], clock: Clock, fresh_s: float, wait_s: float
    ):
        self._questions, self._clock = questions, clock
        self._fresh_s, self._wait_s = fresh_s, wait_s
        self._changed = threading.Condition()
        self._last: dict[str, tuple[Answer, float]] = {}
        self._open: dict[str, float] = {}

    def get(self, *names: str) -> dict[str, Answer]:
        """The answers by name, none left out. It waits until each question was open for `wait_s`:
        for one that hangs the first page waits, the next ones do not."""
        with self._changed:
            asked = [name for name in names if self._age_s(name) > self._fresh_s]
            for name in asked:
                if name not in self._open:
                    self._open[name] = monotonic_s()
                    threading.Thread(target=self._ask, args=(name,), daemon=True).start()
            last_s = max((self._open[name] for name in asked), default=0.0) + self._wait_s
            self._changed.wait_for(
                lambda: not self._open.keys() & set(asked), max(0.0, last_s - monotonic_s())
            )
            return {name: self._shown(name) for name in names}

    def last(self, name: str) -> Any:
        """What a part said last, for a question that needs it; `Unknown` where it never did."""
        with self._changed:
            return self._shown(name).value

    def _ask(self, name: str) -> None:
        value = ask(self._questions[name])
        with self._changed:
            self._last[name] = (Answer(value, self._clock()), monotonic_s())
            del self._open[name]
            self._changed.notify_all()

    def _age_s(self, name: str) -> float:
        return monotonic_s() - self._last[name][1] if name in self._last else float("inf")

    def _shown(self, name: str) -> Answer:
        late = name in self._open
        if name in self._last and not (late and self._age_s(name) > KEEP_S):
            last = self._last[name][0]
            return Answer(last.value, last.at_ms, late)
        return Answer(Unknown(f"no answer within {self._wait_s:g} s", late=True), None, True)
