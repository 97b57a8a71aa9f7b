"""Whether two generations can be compared: each obstacle by its word, and the query time."""

import pytest

from impressions.core.completeness import StreamState
from impressions.core.spec import DAY_MS, PARTITIONER, Spec
from impressions.core.window import horizon_ms
from impressions.formats.generation_paths import generation_id
from impressions.formats.heartbeat import FROM_THE_FIRST_MS
from impressions.formats.manifest import Manifest
from impressions.seam.comparable import Cut, cut_between, shard_skip
from tests.bulkload.world import NEW_MS, OLD_MS
from tests.generations import SPEC

CUT = Cut(OLD_MS, NEW_MS, NEW_MS)


def manifest(cutover_ms, spec=SPEC, partitions=2, **fields):
    name = generation_id(cutover_ms)
    ids = {"raw_snapshot_id": 1, "ema_snapshot_id": 2, "profiles": 0, "entries": 0}
    fields = {**ids, "created_ms": 0, "files": (), **fields}
    return Manifest(name, cutover_ms, spec.fingerprint, partitions, PARTITIONER, **fields)


OLD, NEW = manifest(OLD_MS), manifest(NEW_MS)


@pytest.mark.parametrize(
    ("now_ms", "query_ms"),
    [
        (NEW_MS + 5, NEW_MS + 5),
        (NEW_MS - 5, NEW_MS),
        (OLD_MS + 40 * DAY_MS, horizon_ms(OLD_MS, SPEC) - 1),
    ],
)
def test_both_are_asked_for_now_or_for_the_nearest_time_that_both_are_exact_at(now_ms, query_ms):
    """Never before a cutover, never past a horizon; whichever of the two is activated."""
    assert cut_between(OLD, NEW, SPEC, now_ms) == Cut(OLD_MS, NEW_MS, query_ms)
    assert cut_between(NEW, OLD, SPEC, now_ms) == Cut(OLD_MS, NEW_MS, query_ms)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (manifest(OLD_MS, Spec(slot_ms=3_600_000)), NEW, "other_spec"),
        (manifest(OLD_MS, partitions=4), NEW, "other_spec"),
        (manifest(NEW_MS - 28 * DAY_MS), NEW, "past_horizon"),
        (manifest(OLD_MS, history_until_ms=OLD_MS + 1), NEW, "history_imported"),
        (OLD, manifest(NEW_MS, history_until_ms=NEW_MS + 1), "history_imported"),
    ],
)
def test_generations_that_cannot_be_compared_say_why(old, new, reason):
    """From their manifests alone."""
    assert cut_between(old, new, SPEC, NEW_MS).reason == reason


def test_the_last_cutovers_that_can_be_compared_are_27_days_apart():
    """On the 28th day the older one is no longer exact."""
    old = manifest(NEW_MS - 27 * DAY_MS)
    assert cut_between(old, NEW, SPEC, NEW_MS).query_ms == NEW_MS


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (StreamState(NEW_MS, FROM_THE_FIRST_MS, restoring=False), None),
        (StreamState(NEW_MS, OLD_MS, restoring=False), None),
        (StreamState(NEW_MS, OLD_MS + 1, restoring=False), "deltas_missing"),
        (StreamState(NEW_MS - 1, OLD_MS, restoring=False), "copy_behind"),
        (StreamState(NEW_MS, OLD_MS, restoring=True), "restoring"),
        (StreamState(None, OLD_MS, restoring=False), "deltas_missing"),
        (None, "deltas_missing"),
    ],
)
def test_a_copy_must_hold_everything_between_the_cutovers(stream, reason):
    """To the millisecond."""
    skip = shard_skip(3, stream, CUT)
    assert (skip and skip.reason) == reason
    assert skip is None or (skip.shards == (3,) and "shards 3" in str(skip))
