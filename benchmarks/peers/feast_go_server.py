"""Feast's feature server in Go, over gRPC and the same Redis, with the same numbers in it.

    python -m benchmarks.peers.feast_go_server BINARY ROWS DIRECTORY REDIS_PORT

BINARY is Feast's own Go server, built by whoever runs the benchmark (FEAST_GO_SERVER names it): as
a module it cannot be had, because its own build generates a part of it. Runs in Feast's
environment, whose Python declares the features and fills the store, as for the Python server.
Prints one line of JSON with the address and, for each profile, the bytes of its request in base64,
once the answers hold what was stored; ends with its stdin.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.peers import rows
from benchmarks.peers.feast_server import CONFIG, SERVICE, columns, fill, wait_for

METHOD = "/feast.serving.ServingService/GetOnlineFeatures"
_BELOW_FLOAT32 = 1e-37


def request_of(stored: rows.Stored, profile_id: int) -> Any:
    """All titles of a profile, as one message."""
    from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest

    titles = stored.title_ids[stored.profile_ids == profile_id].tolist()
    request = GetOnlineFeaturesRequest(feature_service=SERVICE)
    for name, values in {"profile_id": [profile_id] * len(titles), "title_id": titles}.items():
        for value in values:
            request.entities[name].val.add(int64_val=value)
    return request


def check(reply: bytes, stored: rows.Stored, profile_id: int) -> None:
    """Stop where an answer is not what was stored."""
    from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse

    answer = GetOnlineFeaturesResponse.FromString(reply)
    names = [name.split("__")[-1] for name in answer.metadata.feature_names.val]
    found = dict(zip(names, answer.results, strict=True))
    mine = stored.profile_ids == profile_id
    for name, expected in columns(stored).items():
        kind = "int64_val" if name == "last_seen_ms" else "float_val"
        values = [getattr(value, kind) for value in found[name].values]
        np.testing.assert_allclose(
            values, expected[mine], rtol=1e-6, atol=_BELOW_FLOAT32, err_msg=name
        )


@contextlib.contextmanager
def serving(binary: str, directory: Path) -> Iterator[str]:
    """The server, listening."""
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("", 0)) as other:
        port, metrics_port = free.getsockname()[1], other.getsockname()[1]
    command = [binary, "-type", "grpc", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-metrics-port", str(metrics_port), "-chdir", str(directory)]
    server = subprocess.Popen(command, cwd=directory, stdout=sys.stderr)
    try:
        wait_for(port, server)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    binary, source, directory, redis_port = sys.argv[1:]
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: None)  # the end of stdin ends both processes
    home, stored = Path(directory), rows.read(Path(source))
    (home / "feature_store.yaml").write_text(CONFIG.format(directory=home, port=redis_port))
    fill(stored, home)
    ids = np.unique(stored.profile_ids).tolist()
    requests = [request_of(stored, profile_id).SerializeToString() for profile_id in ids]
    with serving(binary, home) as address:
        with grpc.insecure_channel(address) as channel:
            for profile_id, request in zip(ids, requests, strict=True):
                check(channel.unary_unary(METHOD)(request, timeout=30), stored, profile_id)
        shown = [base64.b64encode(request).decode() for request in requests]
        print(json.dumps({"address": address, "requests": shown}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
