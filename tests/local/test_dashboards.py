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

from batch.reconciling.metrics import Metrics as ReconcileMetrics
from batch.reconciling.rotation import Rotation
from impressions.core.completeness import StreamState
from impressions.deltas.process import FollowerMetrics
from impressions.deltas.store import PartitionState
from impressions.formats import heartbeat
from impressions.formats.heartbeat import Heartbeat
from impressions.settings.model import Settings
from impressions.status.stage import AHEAD_MS
from serving.lost_calls import LostCalls
from serving.metrics import ServerMetrics
from serving.self_report import self_report
from speed.metrics import Metrics
from tests.exporter.everything import HISTORY_EVENTS, registry_of, status_of_everything

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
SETTINGS = Settings(partitions=1)
BOUNDS = SETTINGS.alerts
OBJECTIVES = {
    "Freshness": 0.001, "Availability": 0.001, "Completeness": 0.001, "Correctness": 0.0001,
}  # fmt: skip
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
    server.registry.register(LostCalls())
    server.describe(lambda: self_report(SETTINGS, served, lambda _: stream, 2), lambda: 0.0)
    state = PartitionState(bytes(16), 7, False, 0, heartbeat.encode(BEAT, SETTINGS.spec))
    follower = FollowerMetrics(SimpleNamespace(states={0: state}, spec=SETTINGS.spec))
    reconcile = ReconcileMetrics(lambda: 2, Rotation(1))
    own = (worker, server, follower, reconcile, exporter())
    names: dict[str, set[str]] = {}
    for registry in (metrics.registry for metrics in own):
        for name, labels in samples(registry):
            names.setdefault(name, set()).update(labels)
    return names


def exporter() -> SimpleNamespace:
    """As the exporter shows a system of which everything is known."""
    return SimpleNamespace(registry=registry_of(status_of_everything(), HISTORY_EVENTS))


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
    """Of alerts and recording rules: what stands between `expr:` and `for:` or `labels:`."""
    return re.findall(r"expr: (.*?)\n +(?:for|labels):", ALERTS.read_text(), re.DOTALL)


def recorded() -> set[str]:
    """Names that recording rules make."""
    return set(re.findall(r"- record: (impressions:\w+)", ALERTS.read_text()))


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
        query = re.sub(r'\bup\{job="impressions-\w+"\} == 0', "", query)  # Prometheus's own
        if not query.strip():
            continue
        made = re.findall(r"\b(impressions:\w+)", query)
        names = re.findall(r"\b(impressions_\w+)", query)
        assert names or made, query
        assert set(made) <= recorded(), query
        assert [name for name in names if name not in known] == [], query
        labels = re.findall(r"\b(\w+) ?(?:=~|=|!=) ?\"", query)
        labels += re.split(r", *", ",".join(re.findall(r"by \((.*?)\)", query)))
        of_names = set().union(*(known[name] for name in names)) | by_scraper
        assert {label.strip() for label in labels if label.strip()} <= of_names, query


def test_alerts_that_ask_whether_a_target_is_up_name_jobs_of_the_scrape_configuration() -> None:
    jobs = re.findall(r'up\{job="([\w-]+)"\}', ALERTS.read_text())
    scraped = re.findall(r"- job_name: (\S+)", (ALERTS.parent / "prometheus.yml").read_text())
    assert set(jobs) == {"impressions-serving", "impressions-exporter"} <= set(scraped)


def test_whatever_status_calls_bad_is_an_alert() -> None:
    """Of every stage, so that one which comes later, or gets a reason more, is not silent."""
    assert "max by (instance, stage) (impressions_stage_bad) > 0" in expressions()


def test_every_alert_has_its_page_in_the_runbook() -> None:
    """Each its own; an alert that stands twice, with two severities, has one."""
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    named = re.findall(r"runbook_url: (docs/runbook/\S+\.md)", ALERTS.read_text())
    assert len(named) == len(alerts)
    assert len(set(zip(alerts, named, strict=True))) == len(set(alerts)) == len(set(named))
    assert [page for page in named if not (ROOT / page).is_file()] == []


@pytest.mark.parametrize(
    ("alert", "bound"),
    [
        ("LanderBehind", f"> {BOUNDS.landed_age_h * 3600:.0f}"),
        ("Headroom", f", {BOUNDS.headroom_days * 86_400:.0f})"),
        ("WeeklyRunLate", f"> {BOUNDS.generation_age_days * 86_400:.0f}"),
        ("GenerationOld", f"> {BOUNDS.host_generation_age_days:.0f} * 86400"),
        ("RawAhead", f"< -{AHEAD_MS / 1000:.0f}"),
        ("Disk", f"< {BOUNDS.disk_free_share:g}"),
        ("NotReconciled", f"> {BOUNDS.reconciled_age_h * 3600:.0f}"),
        ("StreamBehind", f"> {SETTINGS.serving.max_stream_lag_s:.0f}"),
    ],
)
def test_an_alert_fires_where_status_is_bad(alert: str, bound: str) -> None:
    """The number in the expression is the default of the setting by which status judges."""
    (expr,) = re.findall(
        rf"- alert: Impressions{alert}\n +expr: (.*?)\n +(?:for|labels):", ALERTS.read_text(), re.S
    )
    assert expr.endswith(bound)


def test_the_objectives_on_their_page_are_those_of_the_rules() -> None:
    """Budget times burn rate is the number in the rule; the page says both."""
    page = (ROOT / "docs" / "slo.md").read_text()
    for slo, budget in OBJECTIVES.items():
        assert re.search(rf"\| {slo.lower()} \|.*\| {100 - 100 * budget:g} % \|", page), slo
        rules = re.findall(
            rf"- alert: ImpressionsBurn{slo}\n +expr: (.*?)\n +labels: {{severity: (\w+)}}",
            ALERTS.read_text(), re.S,
        )  # fmt: skip
        assert [severity for _, severity in rules] == ["page", "ticket"]
        for (expr, _), rates in zip(rules, ((14.4, 6), (3, 1)), strict=True):
            found = [float(n) for n in re.findall(r"> (0\.\d+)", expr)]
            assert found == pytest.approx([rate * budget for rate in rates for _ in range(2)])
    for rate in (14.4, 6, 3, 1):
        assert re.search(rf"\| (?:page|ticket) \| {rate:g} \|", page)
    for query in re.findall(r"^    (.+)$", page, re.M):
        assert set(re.findall(r"impressions_\w+", query)) <= exposed().keys()


def test_there_is_a_board_for_each_part() -> None:
    """Stream, batch, quality, serving; each begins with whether all is well there."""
    assert [path.stem for path in DASHBOARDS] == ["batch", "quality", "serving", "stream"]
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        panels = board["panels"]
        assert board["uid"] == f"impressions-{path.stem}"
        assert panels[0]["title"] == "At a glance"
        stats = [panel["type"] == "stat" for panel in panels[1:]]
        assert stats[:4] == [True] * 4
        assert len({panel["id"] for panel in panels}) == len(panels)
        places = [
            (x, y)
            for at in (panel["gridPos"] for panel in panels)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(set(places)) == len(places), "panels overlap"
        assert max(x for x, _ in places) < 24


def test_the_first_row_says_whether_serving_is_well() -> None:
    """Batch age, stream lag, incomplete, p99, refusals."""
    board = json.loads(next(path for path in DASHBOARDS if path.stem == "serving").read_text())
    first = [p["title"] for p in board["panels"] if p["type"] == "stat"][:5]
    assert first == [
        "Batch age",
        "Stream lag",
        "Incomplete shards",
        "p99 of a read",
        "Refused calls",
    ]
