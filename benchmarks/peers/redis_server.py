"""A Redis hash per profile behind a Python gRPC service with our own proto.

    python -m benchmarks.peers.redis_server ROWS SOCKET      prints its address; ends with its stdin

In: rows of many profiles (benchmarks/peers/rows.py) and the socket of a redis-server. As one would
write it well: field = title id, value = one packed struct, so that a read is one HMGET over one
round trip (https://redis.io/docs/latest/commands/hmget/); a connection per thread from redis-py's
pool with the hiredis parser, over a Unix socket
(https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/benchmarks/); all values
decoded at once by numpy, the answer written as columns.

The numbers are those of one query time: nothing is decayed at read, no delta is added.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import redis

from benchmarks.peers import rows
from impressions.v1 import impressions_service_pb2 as pb

THREADS = 8  # as serving.threads
_SERVICE = "impressions.v1.ImpressionsService"


class Service:
    """GetProfile, from Redis."""

    def __init__(self, client: Any, stored: rows.Stored):
        self._client, self._measures, self._days = client, stored.measures, stored.half_lives_days
        self._value = rows.value_dtype(stored)

    def get_profile(self, request: Any, context: Any) -> Any:
        asked = request.projection.title_ids
        found = self._client.hmget(rows.key_of(request.profile_id), [b"%d" % t for t in asked])
        there = [i for i, value in enumerate(found) if value is not None]
        values = np.frombuffer(b"".join(found[i] for i in there), self._value)
        response = pb.GetProfileResponse()
        answer = response.answer
        answer.profile_id, answer.matched_rows = request.profile_id, len(there)
        answer.title_ids.extend([asked[i] for i in there])
        answer.last_seen_ms.extend(values["last_seen_ms"].tolist())
        for m, measure in enumerate(self._measures):
            answer.totals.add(measure=measure, values=values["totals"][:, m].tolist())
            for h, days in enumerate(self._days):
                column = values["sums"][:, m, h].tolist()
                answer.decayed.add(measure=measure, half_life_days=days, values=column)
        return response


def store(client: Any, stored: rows.Stored) -> None:
    """A hash per profile, by pipelines."""
    values = rows.packed(stored)
    for profile_id in np.unique(stored.profile_ids).tolist():
        of_profile = np.flatnonzero(stored.profile_ids == profile_id)
        fields = {int(stored.title_ids[i]): values[i].tobytes() for i in of_profile}
        client.hset(rows.key_of(profile_id), mapping=fields)


def main() -> None:
    stored = rows.read(Path(sys.argv[1]))
    client = redis.Redis(unix_socket_path=sys.argv[2])
    store(client, stored)
    handler = grpc.unary_unary_rpc_method_handler(
        Service(client, stored).get_profile,
        pb.GetProfileRequest.FromString,
        pb.GetProfileResponse.SerializeToString,
    )
    handlers = grpc.method_handlers_generic_handler(_SERVICE, {"GetProfile": handler})
    server = grpc.server(ThreadPoolExecutor(THREADS), handlers=[handlers])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    main()
