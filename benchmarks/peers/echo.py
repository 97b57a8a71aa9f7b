"""A grpcio server that answers every call with the same bytes: the most a Python server can do.

    python -m benchmarks.peers.echo FILE        prints its address; ends with its stdin

As gRPC's own examples write one: a thread pool, a synchronous handler, one process.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"

THREADS = 8  # as serving.threads


class _Same(grpc.GenericRpcHandler):
    def __init__(self, reply: bytes):
        self._handler: Handler = grpc.unary_unary_rpc_method_handler(lambda request, context: reply)

    def service(self, details: grpc.HandlerCallDetails) -> Handler:
        return self._handler


def main() -> None:
    server = grpc.server(
        ThreadPoolExecutor(THREADS), handlers=[_Same(Path(sys.argv[1]).read_bytes())]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    main()
