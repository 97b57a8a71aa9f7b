"""Metrics over HTTP, as Prometheus reads them: one address per process, or one for a family.

    with serve(registry, "127.0.0.1:0") as address: ...      http://<address>/metrics

A registry belongs to the one object that counts; nothing is global. A parent whose children count
too shows theirs at its own address (`OfChildren`), each sample with the label `process`, so that
one address in a scrape configuration is enough however many processes there are.
"""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from impressions.core.errors import Refused

_FETCH_S = 1.0
_IDLE_S = 10.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def serve(registry: CollectorRegistry, listen: str) -> Iterator[str]:
    """Answer /metrics on host:port until the end of the block; yields the address it has.

    Raises:
        Refused: the port is taken.
    """
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
        server.RequestHandlerClass = _brief(server.RequestHandlerClass)
    except OSError as error:
        raise Refused(
            f"metrics cannot listen on {listen} ({error.strerror})",
            hint="choose another metrics_listen; port 0 = any free one",
            reason="port_taken",
        ) from None
    try:
        yield f"{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _brief(handler: Any) -> Any:
    """The handler, which closes a connection that asks nothing: it takes a thread and a file."""
    return type("Brief", (handler,), {"timeout": _IDLE_S})


class OnDemand(Collector):
    """Metrics that are computed when they are asked for, and not before."""

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: otherwise the registry would collect at once."""
        return []


class OfChildren(OnDemand):
    """The metrics of other processes, fetched when asked for."""

    def __init__(self, children: Callable[[], Mapping[str, str]]):
        """`children`: name to address of /metrics; one that does not answer is left out."""
        self._children = children

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for process, address in self._children().items():
            for family in text_string_to_metric_families(_fetch(address)):
                of_all = families.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                of_all.samples += [
                    sample._replace(labels={**sample.labels, "process": process})
                    for sample in family.samples
                ]
        yield from families.values()


def _fetch(address: str) -> str:
    with (
        contextlib.suppress(OSError),
        _DIRECT.open(f"http://{address}/metrics", timeout=_FETCH_S) as response,
    ):
        text: str = response.read().decode()
        return text
    return ""
