"""The front of our server with nothing behind it: what the thread and queue alone cost.

    python -m benchmarks.peers.loop_echo FILE METHOD       prints its address; ends with its stdin

Each call of METHOD (its full name) is answered at once, with the same bytes. What our server costs
above this is a read: to parse, get, add and write.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from impressions.settings.sections.live import Serving
from serving.call_limits import call_limits
from serving.front import Front, Method
from serving.lost_calls import LostCalls


def main() -> None:
    reply, name = Path(sys.argv[1]).read_bytes(), sys.argv[2]
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.enable_channelz", 1)])
    method = Method(name, lambda _: reply, lambda *_: reply, lambda _: None)
    front = Front(server, [method], call_limits(Serving()), None, LostCalls())
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    front.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    sys.stdin.read()
    front.drain()
    server.stop(0).wait()
    front.stop()


if __name__ == "__main__":
    main()
