"""`python -m tests.speed.skipping_worker`: a worker that is not given one piece of what it polled.

Of each partition the second one of the first poll that has four; what comes after it arrives.
"""

from impressions.process.command import run
from impressions.terminal import log
from speed import engine, main
from speed.fetches import Polls


class Skipping(Polls):
    def __init__(self, batch_records: int):
        super().__init__(batch_records)
        self._skipped: set = set()

    def cut(self, polled):
        pieces = super().cut(polled)
        for at, of_partition in pieces.items():
            if len(of_partition) >= 4 and at not in self._skipped:
                self._skipped.add(at)
                log.info("skipped", partition=at.partition, offset=of_partition.pop(1).start)
        return pieces


engine.Polls = Skipping
run(main.command)
