"""What the tests of the follower say again and again."""

import threading
import time

from impressions.core.spec import DAY_MS
from impressions.formats import heartbeat
from tests.deltas.support import block_of
from tests.serving.support import until

NOW_MS = 20_780 * DAY_MS
SLOT_MS = 20_000
PROFILE = 1
EVENT = {"title": 3, "location": 1, "event_ms": NOW_MS - 1, "played": 1, "dwell_s": 2.0}


def block(settings, offset, slot_ms=NOW_MS, epoch=1, titles=1):
    events = [{**EVENT, "title": title} for title in range(titles)]
    return block_of(events, slot_ms, settings.spec, epoch=epoch, offset=offset)


def restored(follower):
    follower.restore(threading.Event())
    return follower


def follow_until(follower, condition, what):
    until(lambda: (follower.poll(0.05), condition())[1], what)


def through_of(store, partition, settings):
    state = store.state(partition)
    if state is None or state.heartbeat is None:
        return None
    return heartbeat.decode(state.heartbeat, settings.spec).through_ms


class Together:
    """A consumer that gives everything up to the ends of both partitions at once."""

    def __init__(self, consumer):
        self._consumer, self._rest, self.ends = consumer, [], set()

    def poll(self, timeout_s):
        first = self._consumer.poll(timeout_s)
        if first is None or self.ends == {0, 1}:
            return first
        arrived, deadline_s = [first], time.monotonic() + 60
        while len(ends := {m.partition() for m in arrived if m.error() is not None}) < 2:
            assert time.monotonic() < deadline_s
            arrived += filter(None, [self._consumer.poll(timeout_s)])
        self.ends, self._rest = ends, arrived[1:]
        return first

    def consume(self, *_):
        return self._rest

    def __getattr__(self, name):
        return getattr(self._consumer, name)
