"""Reads all the time, also while things are broken, and remembers what was answered.

Nobody knows the right answer in the middle of a fault; but the oracle knows afterwards what must
have been in it, and what cannot have been (tests/chaos/judge.py).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from impressions.client import CallFailed, ImpressionsClient, ProfileResult
from impressions.clock import now_ms

_PAUSE_S = 0.02


@dataclass(frozen=True)
class Sample:
    """One answer: how many impressions of all titles it held, and what it said of itself."""

    profile: int
    asked_ms: int
    answered_ms: int
    impressions: int
    through_ms: int | None
    reasons: tuple[str, ...]
    generation: str


class Watcher:
    """A thread with a client of its own."""

    def __init__(self, address: str, profiles: Sequence[int], seed: int):
        self._client = ImpressionsClient(address, timeout_s=2)
        self._profiles, self._pick = list(profiles), random.Random(seed)
        self._samples: list[Sample] = []
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self.refused = 0
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def take(self) -> list[Sample]:
        """What was answered since the last time."""
        if self._failure is not None:
            raise self._failure
        taken, self._samples = self._samples, []
        return taken

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._client.close()

    def _run(self) -> None:
        try:
            while not self._stop.wait(_PAUSE_S):
                self._ask(self._pick.choice(self._profiles))
        except BaseException as error:
            self._failure = error

    def _ask(self, profile: int) -> None:
        asked_ms = now_ms()
        try:
            result = self._client.get(profile, at_ms=asked_ms, totals=True)
        except CallFailed:
            self.refused += 1
            return
        assert isinstance(result, ProfileResult)
        context = result.context
        self._samples.append(
            Sample(
                profile,
                asked_ms,
                now_ms(),
                int(result.totals["impressions"].sum()),
                context.stream_through_ms,
                context.reasons,
                context.generation,
            )
        )
