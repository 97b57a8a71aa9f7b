"""How the client connects: retries, balancing, reconnection and message size of a channel.

- A call that got UNAVAILABLE is tried again within its timeout (gRPC's retryPolicy). The service
  config has no timeout, because with one gRPC fails calls at once.
- A target with several addresses (`ipv4:a:1,b:2`, `dns:///name:1`) is balanced round robin over
  those whose health is SERVING. A single address is called whatever its health is, so the caller
  gets its own error (no generation loaded, ...).
"""

from __future__ import annotations

import json
from typing import Any

_RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def channel_options(target: str, service: str, retries: bool) -> list[tuple[str, Any]]:
    """The options of a channel to the target."""
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retries:
        config["methodConfig"] = [{"name": [{"service": service}], "retryPolicy": _RETRIES}]
    if "," in target or target.startswith("dns:"):
        config["healthCheckConfig"] = {"serviceName": ""}
    return [
        ("grpc.service_config", json.dumps(config)),
        # A proxy from the environment cannot reach the loopback address of this host.
        ("grpc.enable_http_proxy", int(not _is_loopback(target))),
        ("grpc.use_local_subchannel_pool", 1),
        # By default gRPC waits up to two minutes before it connects again; calls are not retried
        # for so long, so they would fail although the server is back.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # Shorter than the time after which the server closes an idle connection
        # (serving.max_idle_s), because gRPC would open that one again at once.
        ("grpc.client_idle_timeout_ms", 240_000),
        ("grpc.max_receive_message_length", -1),
    ]


def _is_loopback(target: str) -> bool:
    host = target.rpartition("/")[2].rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")
