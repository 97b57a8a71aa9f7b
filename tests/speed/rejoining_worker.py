"""`python -m tests.speed.rejoining_worker`: a worker that joins its group again at each SIGUSR1.

As after an answer of the coordinator that sends it away, which no test can order from a broker.
"""

import signal

from aiokafka.consumer.group_coordinator import GroupCoordinator

from impressions.process.command import run
from speed import main

_made: list[GroupCoordinator] = []
_init = GroupCoordinator.__init__


def _remembered(self, *args, **options):
    _init(self, *args, **options)
    _made.append(self)


def _join_again(*_):
    for coordinator in _made:
        loop = coordinator._coordination_task.get_loop()
        loop.call_soon_threadsafe(coordinator.request_rejoin)


GroupCoordinator.__init__ = _remembered
signal.signal(signal.SIGUSR1, _join_again)
run(main.command)
