"""A step repeated from the newest state of a table, when another commit came first."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from impressions.core.errors import NotReady

_ATTEMPTS = 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.5
_Result = TypeVar("_Result")


class Conflict(Exception):
    """Another commit came first: what was computed from the one before it is not published."""


def retried(attempt: Callable[[], _Result]) -> _Result:
    """Runs `attempt` until no other commit comes first.

    Raises:
        NotReady: others kept committing first.
    """
    pause_s = _FIRST_PAUSE_S
    for left in reversed(range(_ATTEMPTS)):
        try:
            return attempt()
        except Conflict as error:
            if not left:
                raise NotReady(
                    f"{_ATTEMPTS} attempts met commits of others: {error}",
                    hint="run it again when the other writer is done",
                    reason="conflict",
                ) from error
        time.sleep(random.uniform(pause_s / 2, pause_s))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    raise AssertionError("unreachable: the last attempt returns or raises")
