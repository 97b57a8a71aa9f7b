"""A server with seven days of deltas beside the generation, or as it was before 0041 and 0042; for
benchmarks, never for users.

    python -m benchmarks.live_server HOME GENERATIONS DELTAS FORM     ends with its stdin

DELTAS is a file, or - for none. FORM is a value of serving.front, or `before`: grpcio's own
handlers take the calls, and answers are made from protobuf and numpy around the compiled merge.

What a follower would have copied from Kafka is written into the host's store first, through the
product's own class; then the server as it ships reads it beside, as it does in production. Only the
follower is missing: nothing arrives while reads are measured.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections import Counter
from pathlib import Path

from impressions.deltas.store import PartitionState, open_primary, store_dir
from impressions.formats import delta_block, heartbeat
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.settings.model import Settings
from impressions.settings.sections.live import Serving
from serving import wiring
from speed.applying.flush import Pair

_TOPIC, _BATCH = bytes(16), 64
_THROUGH_MS = 4_000_000_000_000  # later than any clock: the stream is never behind


def main() -> None:
    home, generations_uri, path, form = sys.argv[1:]
    settings = Settings(
        home=Path(home),
        generations_uri=generations_uri,
        serving=Serving(
            listen="127.0.0.1:0",
            deltas="off" if path == "-" else "on",
            front="loop" if form == "loop" else "grpc",
        ),
    )
    if path != "-":
        by_id: list[tuple[bytes, ...]]
        by_id, profiles = pickle.loads(Path(path).read_bytes())
        fill(settings, by_id, profiles)
    if form == "before":
        wiring._shared_answers = lambda *_: None
    server = wiring.create_server(settings)
    server.start()
    print(json.dumps({"address": server.address}), flush=True)
    sys.stdin.read()
    server.stop(drain_s=0)


def _keyed(profile_id: int, blocks: tuple[bytes, ...], settings: Settings) -> list[Pair]:
    """Blocks of one profile with their keys; those of a slot are its parts, in their order."""
    parts: Counter[int] = Counter()
    out = []
    for data in blocks:
        slot_ms = delta_block.header(data, settings.spec).slot_start_ms
        out.append((delta_block.key(profile_id, slot_ms + parts[slot_ms]), data))
        parts[slot_ms] += 1
    return out


def fill(settings: Settings, by_id: list[tuple[bytes, ...]], profiles: int) -> None:
    """Blocks of profiles 1..`profiles`, and partitions that are complete."""
    store = open_primary(store_dir(settings))
    for first in range(1, profiles + 1, _BATCH):
        ids = range(first, min(first + _BATCH, profiles + 1))
        store.write(
            [pair for i in ids for pair in _keyed(i, by_id[i % len(by_id)], settings)],
            {},
        )
    store.write([], {p: _complete(p, settings) for p in range(settings.partitions)})
    store.close()


def _complete(partition: int, settings: Settings) -> PartitionState:
    beat = Heartbeat(
        partition, settings.partitions, 1, _TOPIC, _TOPIC, 0, 0, FROM_THE_FIRST_MS, _THROUGH_MS
    )
    return PartitionState(_TOPIC, 1, False, heartbeat=heartbeat.encode(beat, settings.spec))


if __name__ == "__main__":
    main()
