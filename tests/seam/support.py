"""Two weekly generations of random events, and a copy of the deltas that a worker would have made.

events = events_of(seed)              accepted events of 24 profiles, many in the last weeks
publish_both(world, events)           OLD is loaded and active, NEW is loaded
copy_of(world.settings, events)       the host's copy of the deltas, complete through THROUGH_MS
"""

from __future__ import annotations

import random

from bulkload.activate import activate
from bulkload.load import load
from impressions.core.spec import DAY_MS
from impressions.deltas.store import PartitionState, open_primary, readers_dir, store_dir
from impressions.formats import delta_block
from tests.bulkload.world import NEW, NEW_MS, OLD, OLD_MS
from tests.deltas import support
from tests.generations import SPEC, Applied, blocks_of

THROUGH_MS = NEW_MS + 2 * DAY_MS
PROFILES = range(1, 25)


def events_of(seed: int, profiles=PROFILES, until_ms: int = THROUGH_MS) -> list[Applied]:
    """Accepted events ingested before `until_ms`: half of them within the last 16 days, up to two
    days late; the others over the year before."""
    rng = random.Random(seed)
    events: list[Applied] = []
    for profile in profiles:
        for _ in range(rng.randint(2, 24)):
            age_ms = rng.choice([16, 365]) * DAY_MS
            event_ms = until_ms - 1 - rng.randrange(age_ms)
            event = {
                "title": rng.randint(1, 6),
                "location": rng.randint(0, 1),
                "event_ms": event_ms,
                "played": rng.randint(0, 1),
                "dwell_s": round(rng.expovariate(0.2), 3),
            }
            late_ms = rng.choice([0, rng.randrange(2 * DAY_MS)])
            events.append((profile, event, min(event_ms + late_ms, until_ms - 1)))
    return sorted(events, key=lambda applied: applied[2])


def between_cutovers(events: list[Applied]) -> list[Applied]:
    """Those that one generation has and the stream has for the other one."""
    return [e for e in events if OLD_MS <= e[2] < NEW_MS]


def publish_both(world, events, *, of_new=None, **new_fields) -> None:
    """OLD answers, and NEW, perhaps of other events, waits for its activation."""
    world.publish(OLD_MS, blocks=blocks_of(events, OLD_MS))
    new = blocks_of(events if of_new is None else of_new, NEW_MS)
    world.publish(NEW_MS, blocks=new, **new_fields)
    load(world.settings, OLD)
    activate(world.settings, OLD)
    load(world.settings, NEW)


def copy_of(settings, events, *, through_ms=THROUGH_MS, deleted=(), restoring=False, **beat):
    """Write the host's copy of the deltas.

    Args:
        deleted: keys of blocks that are not there, although the states say that all are.
        beat: fields of every heartbeat.
    """
    blocks = support.blocks_of(events, SPEC)
    assert set(deleted) <= set(blocks), "a fault that hits nothing"
    readers_dir(settings).mkdir(parents=True, exist_ok=True)  # as servers do
    store = open_primary(store_dir(settings))
    states = {
        shard: PartitionState(
            bytes(16),
            1,
            restoring=restoring,
            heartbeat=support.beat_of(settings, shard, through_ms, **beat),
        )
        for shard in settings.host_shards
    }
    kept = [(key, block) for key, block in blocks.items() if key not in deleted]
    store.write(kept, states)
    store.close()


def key_of(applied: Applied) -> bytes:
    """The key of the block that an event is in."""
    profile, _, ingest_ms = applied
    return delta_block.key(profile, ingest_ms // SPEC.slot_ms * SPEC.slot_ms)
