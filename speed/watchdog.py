"""Ends a worker that has work and does none, or whose topics are others now: never a live process
that does nothing.

Once a second it looks: does the group's coordination still run, has each partition moved
(speed/partitions/movement.py), are partitions without an owner while this worker has none. Now and
then it asks the broker whether the topics are still those that were assigned. A broker that does
not answer is no reason by itself; standing still for too long is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from impressions.clock import monotonic_s
from impressions.core.errors import ServiceError
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.directory import forget_name
from speed.partitions.movement import Movements
from speed.partitions.opening import Identities, check_same, identities
from speed.unowned_partitions import unowned

_WATCH_S = 1.0
_ASK_S = 5.0


class Watchdog:
    """Of one worker.

    Args:
        alive: whether the group's coordination runs.
        ids: the topics as they were at the last assignment; None before the first.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        progress: Movements,
        alive: Callable[[], bool],
        ids: Callable[[], Identities | None],
    ):
        self._settings, self._directory, self._progress = settings, directory, progress
        self._alive, self._ids = alive, ids

    async def watch(self) -> None:
        """Look until something ends the worker.

        Raises:
            ServiceError, Refused: what ended it.
        """
        asked_s = monotonic_s()
        while True:
            await asyncio.sleep(_WATCH_S)
            if monotonic_s() - asked_s > _ASK_S:
                await self._check_topics()
                asked_s = monotonic_s()
            if not self._alive():
                raise ServiceError("the consumer group's coordination has ended", reason="group")
            if self._progress.idle_s() > self._settings.speed.session_timeout_s:
                await self._check_idle()
            self._check_moving()

    def _check_moving(self) -> None:
        """Raises ServiceError where a partition stands still."""
        slowest, allowed_s = self._progress.slowest(), self._settings.speed.stall_s
        if slowest is not None and slowest[1] > allowed_s:
            raise ServiceError(
                f"partition {slowest[0]}: no progress in {slowest[1]:.0f} s, "
                f"expected some within {allowed_s:.0f} s",
                hint="is the broker reachable? impressions topics check",
                reason="stalled",
            )

    async def _check_topics(self) -> None:
        before = self._ids()
        try:
            now = await asyncio.to_thread(identities, self._settings)
        except ServiceError as error:  # whether that is too long, the heartbeats decide
            log.once("broker-away", because=error)
            return
        if before is not None and self._ids() == before:
            check_same(self._settings, before, now)

    async def _check_idle(self) -> None:
        """Whether it is right that this worker has nothing. Raises ServiceError."""
        try:
            left = await asyncio.to_thread(unowned, self._settings)
        except ServiceError as error:
            log.once("broker-away", because=error)
            left = set()
        if not self._progress.idle_s():
            return  # it was given some meanwhile
        if left:
            forget_name(self._directory)
            raise ServiceError(
                f"partitions {sorted(left)} have no owner, and this worker was given none",
                hint="start it: it joins the group as new",
                reason="unowned",
            )
        self._progress.watch(())
