"""What a peer of the stream is asked, how it counts, and what it says at the end.

Asked in the variable PEER, as JSON; says one line of JSON. Counting begins with the first record,
so that start-up is in no figure. Used by peers in environments of their own: standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def request() -> dict[str, Any]:
    """What the stage passed."""
    found: dict[str, Any] = json.loads(os.environ["PEER"])
    return found


class Count:
    """Impressions since the first record, up to a known total."""

    def __init__(self, total: int):
        self.total, self.done = total, 0
        self._started_s = self._cpu_s = 0.0

    def begin(self) -> None:
        """At the first record, before it is handled; later calls change nothing."""
        if not self._started_s:
            self._started_s, self._cpu_s = time.perf_counter(), time.process_time()

    def add(self, impressions: int) -> bool:
        """Whether that was the last of them."""
        self.done += impressions
        return self.done >= self.total

    def say(self, **more: Any) -> None:
        """The end: print what was done in what time."""
        line = {
            "impressions": self.done,
            "seconds": time.perf_counter() - self._started_s,
            "cpu_s": time.process_time() - self._cpu_s,
            **more,
        }
        # Faust logs what is printed, and may be in the middle of a line itself.
        print("\n" + json.dumps(line), file=sys.__stdout__, flush=True)
