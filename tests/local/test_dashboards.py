"""Dashboards and alerts ask for metrics that the processes expose, and alerts have a runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from batch.quality.findings import Finding
from batch.quality.judge import Verdict
from batch.quality.segments import ALL
from batch.quality.textfile import text_of
from batch.reconciling.metrics import Metrics as ReconcileMetrics
from batch.reconciling.rotation import Rotation
from impressions.core.completeness import StreamState
from impressions.deltas.process import FollowerMetrics
from impressions.deltas.store import PartitionState
from impressions.formats import heartbeat
from impressions.formats.heartbeat import Heartbeat
from impressions.settings.model import Settings
from serving.metrics import ServerMetrics
from serving.self_report import self_report
from speed.metrics import Metrics

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
SETTINGS = Settings(partitions=1)
FINDING = Finding(1, 1, ALL, "impressions", 0.0, 9.0, 0.0, 0.0, 8, "median")
BEAT = Heartbeat(0, 1, 1, bytes(16), bytes(16), 5, 1, 0, 1)


def exposed() -> dict[str, set[str]]:
    """Every sample's name, with its labels, as /metrics of each process shows it."""
    worker = Metrics()
    worker.seen(0, BEAT, end_offset=6, now_ms=2)
    counts = dict.fromkeys(("applied", "duplicate", "rejected", "replayed"), 1)
    flush = SimpleNamespace(counts=counts, rejected={"bad_profile": 1}, heartbeat=BEAT)
    worker.flushed(0, flush, seconds=0.1, delay_ms=100)
    server = ServerMetrics()
    server.counter_of("GetProfile")(grpc.StatusCode.OK)
    manifest = SimpleNamespace(history_until_ms=0)
    seam = SimpleNamespace(planned=3, compared=2, differing=1)
    served = SimpleNamespace(
        name="2026-11-15", cutover_ms=0, shards=(0,), manifest=manifest, seam=seam
    )
    stream = StreamState(1, 0, restoring=False)
    server.describe(lambda: self_report(SETTINGS, served, lambda _: stream, 2), lambda: 0.0)
    state = PartitionState(bytes(16), 7, False, 0, heartbeat.encode(BEAT, SETTINGS.spec))
    follower = FollowerMetrics(SimpleNamespace(states={0: state}, spec=SETTINGS.spec))
    reconcile = ReconcileMetrics(lambda: 2, Rotation(1))
    own = (worker, server, follower, reconcile)
    names: dict[str, set[str]] = {}
    for registry in (metrics.registry for metrics in own):
        for name, labels in samples(registry):
            names.setdefault(name, set()).update(labels)
    for name, labels in samples_of(text_of(Verdict((FINDING,), (), 1), 1)):
        names.setdefault(name, set()).update(labels)
    return names


def samples(registry: CollectorRegistry) -> Iterator[tuple[str, set[str]]]:
    return samples_of(generate_latest(registry).decode())


def samples_of(text: str) -> Iterator[tuple[str, set[str]]]:
    for line in text.splitlines():
        if found := re.match(r"(impressions_\w+)(?:\{(.*)\})? ", line):
            yield found[1], set(re.findall(r"(\w+)=\"", found[2] or ""))


def queries(dashboard: Path) -> list[str]:
    board: dict[str, Any] = json.loads(dashboard.read_text())
    variables = [variable["query"] for variable in board["templating"]["list"]]
    return variables + [
        target["expr"] for panel in board["panels"] for target in panel.get("targets", ())
    ]


def expressions() -> list[str]:
    """Of the alerts: what stands between `expr:` and `for:` or `labels:`."""
    return re.findall(r"expr: (.*?)\n +(?:for|labels):", ALERTS.read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "asked",
    [pytest.param(queries(path), id=path.name) for path in DASHBOARDS]
    + [pytest.param(expressions(), id=ALERTS.name)],
)
def test_every_metric_in_a_query_is_exposed_with_its_labels(asked: list[str]) -> None:
    known = exposed()
    assert len(asked) >= 10
    by_scraper = {"instance", "process", "le"}
    for query in asked:
        names = re.findall(r"\b(impressions_\w+)", query)
        assert names, query
        assert [name for name in names if name not in known] == [], query
        labels = re.findall(r"\b(\w+) ?(?:=~|=|!=) ?\"", query)
        labels += re.split(r", *", ",".join(re.findall(r"by \((.*?)\)", query)))
        of_names = set().union(*(known[name] for name in names)) | by_scraper
        assert {label.strip() for label in labels if label.strip()} <= of_names, query


def test_every_alert_has_its_page_in_the_runbook() -> None:
    alerts = re.findall(r"- alert: ", ALERTS.read_text())
    named = re.findall(r"runbook_url: (docs/runbook/\S+\.md)", ALERTS.read_text())
    assert len(named) == len(alerts) == len(set(named))
    assert [page for page in named if not (ROOT / page).is_file()] == []


def test_the_first_row_says_whether_all_is_well() -> None:
    """Batch age, stream lag, incomplete, p99, refusals; then a strip per stage."""
    panels = json.loads(DASHBOARDS[0].read_text())["panels"]
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    first = [p["title"] for p in panels if p["type"] == "stat"]
    assert first == [
        "Batch age",
        "Stream lag",
        "Incomplete shards",
        "p99 of a read",
        "Refused calls",
    ]
    assert len(rows) >= 5
    assert len({panel["id"] for panel in panels}) == len(panels)
