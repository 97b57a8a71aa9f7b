"""The real server with seven days of deltas joined to every read; for `read`, never for users.

    python -m benchmarks.live_server HOME GENERATIONS DELTAS     ends with its stdin

The stream is not built yet, so the delta blocks lie in memory as bytes and are decoded for each
read. What their local store will cost is not in these figures.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

from impressions import delta_block
from impressions.shell.sections import Serving
from impressions.shell.settings import Settings
from serving.reads import Deltas
from serving.server import create_server


def main() -> None:
    home, generations_uri, deltas = sys.argv[1:]
    blocks: list[tuple[bytes, ...]] = pickle.loads(Path(deltas).read_bytes())
    settings = Settings(
        home=Path(home), generations_uri=generations_uri, serving=Serving(listen="127.0.0.1:0")
    )
    spec = settings.spec

    def deltas_of(shard: int, profile_id: int, from_slot_ms: int) -> Deltas:
        stored = blocks[profile_id % len(blocks)]
        return Deltas([delta_block.decode(data, spec) for data in stored], None)

    server = create_server(settings, deltas_of=deltas_of)
    server.start()
    print(json.dumps({"address": server.address}), flush=True)
    sys.stdin.read()
    server.stop(drain_s=0)


if __name__ == "__main__":
    main()
