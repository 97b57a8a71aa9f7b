"""The host's copy of the deltas, written by the test instead of the follower; and what is asked.

So every state that the copy can be in is met. The real follower and the real broker are in
test_processes.py.
"""

from impressions.deltas.store import PartitionState, open_primary, store_dir
from impressions.formats.heartbeat import FROM_THE_FIRST_MS
from tests.deltas.support import beat_of, blocks_of
from tests.generations import SPEC
from tests.serving.support import WEEK_2_MS, until

EVERYTHING = {"by_location": True, "totals": True, "last_seen": True}
PROFILES = range(1, 41)
SHARDS = range(8)
THROUGH_MS = WEEK_2_MS
LAG_MS = 15_000


class Copy:
    """The host's copy of the deltas, written by the test."""

    def __init__(self, settings):
        self.settings, self.store = settings, open_primary(store_dir(settings))

    def events(self, applied) -> None:
        self.store.write(blocks_of(applied, SPEC).items(), {})

    def state(self, shards=SHARDS, through_ms=THROUGH_MS, restoring=False, **more) -> None:
        """What is known of these shards; `since_ms` goes into the heartbeat."""
        since_ms = more.pop("since_ms", FROM_THE_FIRST_MS)
        self.store.write(
            (),
            {
                shard: PartitionState(
                    bytes(16),
                    1,
                    restoring=restoring,
                    heartbeat=beat_of(self.settings, shard, through_ms, since_ms=since_ms),
                    **more,
                )
                for shard in shards
            },
        )


def answers_of(client, profiles=PROFILES, query_ms=THROUGH_MS):
    return client.get_many(profiles, at_ms=query_ms, **EVERYTHING)


def reasons_of(client, profile=1):
    return client.get(profile, at_ms=THROUGH_MS).context.reasons


def comes(client, reasons, profile=1):
    """Wait until the server reports this; a thread of it refreshes the copy."""
    until(lambda: set(reasons_of(client, profile)) == set(reasons), f"{reasons}")
