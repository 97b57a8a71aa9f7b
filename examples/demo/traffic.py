"""Live traffic, through the real producer: what devices send, with everything that goes wrong.

Seeded. Profiles and titles are drawn from those of the history where there is one. Some logs are
sent again, a moment or some slots later; some events are hours or months late, some from the
future, a few too old to count or broken.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Sequence

from examples.demo.generate import DAY_MS
from impressions.clock import now_ms
from impressions.producer import Impression, Log, Producer
from impressions.settings.model import Settings

_REMEMBERED = 2_000
_AGO_MS = (0, 0, 0, 0, 2_000, 3_600_000, 5 * DAY_MS, 200 * DAY_MS, 340 * DAY_MS)
_AHEAD_MS = (240_000, 9 * DAY_MS)  # kept as it is; clamped to its ingest time


class Traffic:
    """Sends seeded logs. Not thread-safe; `flowing` sends from a thread of its own."""

    def __init__(
        self, settings: Settings, seed: int, profiles: Sequence[int], titles: Sequence[int]
    ):
        self._pick = random.Random(seed)
        self._profiles, self._titles = list(profiles), list(titles)
        self._recent: deque[Log] = deque(maxlen=_REMEMBERED)
        self._producer = Producer(settings, linger_s=0.01)

    def send(self, logs: int) -> None:
        """Send so many logs; they are delivered after `flush`."""
        for _ in range(logs):
            self._producer.send(self._log())

    def send_one(self, log: Log) -> None:
        self._producer.send(log)

    def flush(self) -> None:
        """Wait until the broker has everything. Raises RuntimeError if it has not."""
        if left := self._producer.flush():
            raise RuntimeError(f"{left} logs were not delivered")

    def close(self) -> None:
        self._producer.close()

    def flowing(self, logs_per_s: float) -> Flow:
        """A context in which logs flow all the time."""
        return Flow(self, logs_per_s)

    def _log(self) -> Log:
        pick = self._pick
        if self._recent and pick.random() < 0.08:
            return pick.choice(self._recent)
        events = [self._event() for _ in range(pick.randint(1, 6))]
        log = Log(pick.choice(self._profiles), pick.randint(1, 2**63 - 1), events)
        self._recent.append(log)
        return log

    def _event(self) -> Impression:
        pick = self._pick
        ago_ms = pick.choice(_AHEAD_MS) * -1 if pick.random() < 0.02 else pick.choice(_AGO_MS)
        return Impression(
            title_id=pick.choice(self._titles),
            event_time_ms=now_ms() - ago_ms,
            location=300 if pick.random() < 0.003 else pick.choice((0, 0, 1, 2, 40)),
            played=pick.random() < 0.2,
            dwell_s=-1.0 if pick.random() < 0.003 else round(pick.uniform(0, 90), 3),
        )


class Flow:
    """Traffic from a thread, from the start of a `with` block to its end, where it is flushed."""

    def __init__(self, traffic: Traffic, logs_per_s: float):
        self._traffic, self._pause_s = traffic, 1 / logs_per_s
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic")
        self.sent = 0

    def __enter__(self) -> Flow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._traffic.flush()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._pause_s):
                self._traffic.send(1)
                self.sent += 1
        except BaseException as error:
            self._failure = error
