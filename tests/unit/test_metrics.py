"""Metrics over HTTP: one address per process, and a parent that shows its children's."""

import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from impressions.core.errors import Refused
from impressions.process.metrics import OfChildren, serve


def read(address) -> str:
    return urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()


def test_a_registry_is_answered_at_a_free_port():
    registry = CollectorRegistry()
    Gauge("impressions_x", "X.", registry=registry).set(7)
    with serve(registry, "127.0.0.1:0") as address:
        assert "impressions_x 7.0" in read(address)
    with pytest.raises(OSError):
        read(address)


def test_a_taken_port_is_refused():
    with (
        serve(CollectorRegistry(), "127.0.0.1:0") as address,
        pytest.raises(Refused, match=address),
        serve(CollectorRegistry(), address),
    ):
        pass


def test_a_parent_shows_its_children_each_with_its_name():
    """Types and values as the children have them; one that is gone is left out."""
    registries = [CollectorRegistry(), CollectorRegistry()]
    for n, registry in enumerate(registries, 1):
        Counter("impressions_calls", "Calls.", ["code"], registry=registry).labels("OK").inc(n)
    parent = CollectorRegistry()
    with serve(registries[0], "127.0.0.1:0") as a, serve(registries[1], "127.0.0.1:0") as b:
        parent.register(OfChildren(lambda: {"a": a, "b": b, "gone": "127.0.0.1:1"}))
        with serve(parent, "127.0.0.1:0") as address:
            text = read(address)
    assert text.count("# TYPE impressions_calls_total counter") == 1
    assert 'impressions_calls_total{code="OK",process="a"} 1.0' in text
    assert 'impressions_calls_total{code="OK",process="b"} 2.0' in text
