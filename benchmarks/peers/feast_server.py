"""Feast's Python feature server over Redis, its online store, with the same numbers in it.

    python -m benchmarks.peers.feast_server ROWS DIRECTORY REDIS_PORT

Prints its address once it is healthy; ends with its stdin. In Feast's own environment, following
https://docs.feast.dev/how-to-guides/online-server-performance-tuning: Redis for low latency (SQLite
is "local development only"), all features of an entity in one feature view, a feature service, a
file registry refreshed in a thread, pre-computed feature vectors (15 % faster here than without),
`feast serve` with --max-requests 10000 and --registry_ttl_sec 300, no access log. One worker,
because there is one core. It speaks HTTP and JSON only; the Python server refuses --type grpc. An
entity is (profile, title), because a request chooses titles.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.peers import rows

SERVICE, VIEW = "impressions_service", "impressions"
_HEALTHY_WITHIN_S = 60.0
_CONFIG = """\
project: bench
provider: local
registry: {{path: {directory}/registry.db, cache_mode: thread, cache_ttl_seconds: 300}}
online_store: {{type: redis, connection_string: "127.0.0.1:{port}"}}
offline_store: {{type: file}}
entity_key_serialization_version: 3
"""


def columns(stored: rows.Stored) -> dict[str, Any]:
    """Feature -> its values, named as people name features."""
    found = {"last_seen_ms": stored.last_seen_ms}
    for m, measure in enumerate(stored.measures):
        found[f"{measure}_total"] = stored.totals[:, m]
        for h, days in enumerate(stored.half_lives_days):
            found[f"{measure}_hl_{days}d"] = stored.sums[:, m, h]
    return found


def fill(stored: rows.Stored, directory: Path) -> None:
    """Declare the features and write the numbers to the online store."""
    import pandas as pd
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
    from feast.types import Float32, Int64
    from feast.value_type import ValueType

    features = columns(stored)
    keys = {"profile_id": stored.profile_ids, "title_id": stored.title_ids}
    frame = pd.DataFrame(keys | features | {"event_timestamp": datetime.now(UTC)})
    floats = [name for name in features if name != "last_seen_ms"]
    frame = frame.astype(dict.fromkeys(floats, "float32"))
    source = directory / "rows.parquet"
    frame.to_parquet(source)
    entities = [Entity(name=k, join_keys=[k], value_type=ValueType.INT64) for k in keys]
    view = FeatureView(
        name=VIEW,
        entities=entities,
        ttl=timedelta(0),
        schema=[Field(name=k, dtype=Int64) for k in (*keys, "last_seen_ms")]
        + [Field(name=name, dtype=Float32) for name in floats],
        source=FileSource(path=str(source), timestamp_field="event_timestamp"),
    )
    service = FeatureService(name=SERVICE, features=[view], precompute_online=True)
    store = FeatureStore(repo_path=str(directory))
    store.apply([*entities, view, service])
    store.write_to_online_store(VIEW, df=frame)
    store.precompute_feature_service(SERVICE)


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[str]:
    """`feast serve`, healthy."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("feast")), "serve", "--no-access-log"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--max-requests", "10000", "--registry_ttl_sec", "300"]
    environment = {**os.environ, "HOME": str(directory)}  # gunicorn keeps a socket there
    server = subprocess.Popen(command, cwd=directory, env=environment, stdout=sys.stderr)
    try:
        _wait_for(port, server)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until the port answers."""
    give_up_s = time.monotonic() + _HEALTHY_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if server.poll() is not None or time.monotonic() > give_up_s:
                raise
            time.sleep(0.1)


def main() -> None:
    source, directory, redis_port = sys.argv[1:]
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: None)  # the end of stdin ends both processes
    home = Path(directory)
    (home / "feature_store.yaml").write_text(_CONFIG.format(directory=home, port=redis_port))
    fill(rows.read(Path(source)), home)
    with serving(home) as address:
        print(json.dumps({"address": address}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
