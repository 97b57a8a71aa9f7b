"""When rounds of landing run: once, or every so often until asked to stop.

    --once                one round
    --every 1h            a round each hour, by the start of the one before; SIGTERM finishes the
                          round and ends well
    --every 10s --until T rounds until raw is valid through T

A broker that does not answer, or another writer, is a line in the log and the next round tries
again, for ten minutes and at least three rounds. A refusal, which no later round can
cure, ends it at once. Nothing is lost by ending: the next start goes on where raw stands.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from impressions.clock import monotonic_s
from impressions.core.errors import NotReady, ServiceError, UsageError
from impressions.process.passes import passes
from impressions.process.registry import registered
from impressions.process.stop_signal import stopping_on
from impressions.settings.model import Settings
from impressions.terminal import log

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FAILURES, _PATIENCE_S = 3, 600.0


def parse_every(text: str) -> int:
    """Seconds of `90s`, `15m`, `1h` or `1d`. Raises UsageError."""
    parts = re.fullmatch(r"(\d+)([smhd])", text)
    seconds = int(parts[1]) * _UNITS_S[parts[2]] if parts else 0
    if not seconds:
        raise UsageError(f"--every {text}: expected a time such as 30s, 15m, 1h or 1d")
    return seconds


def rounds(
    settings: Settings, one_round: Callable[[], int], every_s: float, until_ms: int | None
) -> None:
    """Rounds of a process that people find in `status` and end by SIGTERM."""
    log.configure(process="land")
    with (
        registered(settings, "land"),
        stopped_by_sigterm() as stop,
        passes(settings, "land") as recorder,
    ):
        repeat(recorder.each(one_round), every_s, until_ms, stop)


def repeat(
    one_round: Callable[[], int],
    every_s: float,
    until_ms: int | None,
    stop: threading.Event,
    patience_s: float = _PATIENCE_S,
) -> None:
    """Rounds until `stop`, or until one returns a valid-through that has reached `until_ms`."""
    failures, well_s = 0, monotonic_s()
    while not stop.is_set():
        began_s = monotonic_s()
        try:
            through_ms = one_round()
        except (ServiceError, NotReady) as error:
            failures += 1
            if failures >= _FAILURES and monotonic_s() - well_s >= patience_s:
                raise
            log.warning("round_failed", reason=error.reason, error=error.message)
        else:
            failures, well_s = 0, monotonic_s()
            if until_ms is not None and through_ms >= until_ms:
                return
        stop.wait(max(0.0, began_s + every_s - monotonic_s()))


def stopped_by_sigterm() -> AbstractContextManager[threading.Event]:
    """An event that SIGTERM sets, so that what is under way is finished."""
    return stopping_on(signal.SIGTERM, said=lambda: log.info("stopping", after="this round"))
