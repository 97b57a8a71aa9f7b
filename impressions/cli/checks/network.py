"""The port of the server; the broker, its topics and its clock."""

from __future__ import annotations

import importlib.util
import socket

from impressions.cli.checks.check import Skip
from impressions.clock import now_ms
from impressions.core.errors import NotReady
from impressions.settings.model import Settings
from impressions.terminal.console import human_age

_BROKER_S = 4.0


def port(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, int(port)))
        except OSError as error:
            raise NotReady(
                f"{listen}: {error.strerror} (by a server that runs already?)",
                hint="--set serving.listen=127.0.0.1:0 takes any free port",
            ) from None
    return f"{listen} is free"


def broker(settings: Settings) -> str:
    """Reachable, and its topics are what they must be; where none is configured, that is said."""
    from impressions.kafka import topics

    at = _bootstrap(settings)
    found = topics.check(settings, timeout_s=_BROKER_S)
    return f"{at} answers; {len(found)} topics are right, {settings.partitions} partitions each"


def broker_clock(settings: Settings) -> str:
    """Kafka tells no time, but the newest record was stamped in its past.

    A stamp ahead of this clock is a difference for certain; the other direction shows in the
    worker's lag only.
    """
    from impressions.status.stream import newest_record_ms

    newest_ms = newest_record_ms(settings, timeout_s=_BROKER_S)
    if newest_ms is None:
        raise Skip("no record to compare with yet")
    ahead_s = (newest_ms - now_ms()) / 1000
    margin_s = settings.speed.clock_margin_s
    if ahead_s > margin_s:
        raise NotReady(
            f"the newest record is {ahead_s:.1f} s in the future of this clock, "
            f"expected at most speed.clock_margin_s = {margin_s:g} s",
            hint="start a time service on this machine and on the broker's",
        )
    return f"newest record {human_age(max(0.0, -ahead_s))} ago by this clock"


def _bootstrap(settings: Settings) -> str:
    if importlib.util.find_spec("confluent_kafka") is None:
        raise Skip("not needed without the extra [kafka]")
    from impressions.kafka.client import find_bootstrap

    at = find_bootstrap(settings)
    if at is None:
        raise Skip("none configured, none runs here: impressions kafka start makes one")
    return at
