"""The whole live path with real processes: a broker, a worker that loses records, a server with its
follower, a landing, and a row that is deleted from raw. Everything is found, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from batch.jobs.tasks import Runner
from batch.lake import tables
from batch.landing import round as landing
from batch.landing.job import Landing
from batch.reconciling import choosing
from batch.reconciling.round import run_round
from impressions.client import ImpressionsClient
from impressions.clock import now_ms
from impressions.core.shard import shard_of
from impressions.core.slot import format_utc, slot_start_ms
from impressions.core.spec import DAY_MS, Spec
from impressions.terminal.report import start_run
from tests.broker import stream_settings
from tests.faults.stream import QUICK, SEED, Flow, wait_applied, workers
from tests.generations import blocks_of
from tests.serving.process import Process, end
from tests.serving.support import install, until
from tests.speed.records import record_bytes
from tests.speed.traffic import Traffic
from tests.speed.worker_process import toml_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

LANDED, LIVE, LOST_IN_RAW = 2**62 + 1, 2**62 + 2, 2**62 + 3
"""Log ids: dropped by the worker, landed and not landed yet; and deleted from raw."""


def flush_of(log_id):
    event = {"title": 500, "location": 7, "event_ms": now_ms() - 1000, "played": 1, "dwell_s": 2.5}
    return 7, log_id, [event, event | {"title": 501, "dwell_s": 0.25}]


def send(traffic, settings, *log_ids):
    for log_id in log_ids:
        traffic._producer.produce(
            settings.kafka.topic, record_bytes(flush_of(log_id)),
            partition=shard_of(7, settings.partitions),
        )  # fmt: skip
        traffic.send(50)
    traffic.flush()


def land(settings):
    landing.land(Landing(settings, start_run("land"), Runner(), now_ms))


@contextlib.contextmanager
def server_of(settings, tmp_path):
    sets = {
        "kafka.bootstrap": settings.kafka.bootstrap,
        "kafka.deltas_topic": settings.kafka.deltas_topic,
        "partitions": settings.partitions, "slot_seconds": settings.slot_seconds,
        "host.reserve_bytes": 0,
    }  # fmt: skip
    flags = [text for key, value in sets.items() for text in ("--set", f"{key}={value}")]
    process = Process(settings, tmp_path, "--listen", "127.0.0.1:0", *flags)
    try:
        yield process.address
    finally:
        end(process)


def reconcile(config, address, *words):
    """(exit code, its JSON document) of `impressions reconcile`."""
    done = subprocess.run(
        [sys.executable, "-m", "batch.reconciling.verb", "--config", str(config), "--address",
        address,
         "--json", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def named(report):
    """{(log id, title, layer, word)} of what is wrong."""
    return {
        (event["log_id"], event["title"], layer, word)
        for finding in report["findings"]
        for difference in finding["differences"]
        for event in difference["events"]
        for layer, word in event["layers"].items()
        if word in ("lacks", "twice", "unclear") or (word == "has" and event["why"])
    }


@pytest.fixture
def settings(tmp_path, broker):
    """A host with a generation of this midnight, so that everything live is the stream's."""
    made = stream_settings(
        tmp_path / "home", broker, 2, slot_seconds=20, speed=QUICK, host={"reserve_bytes": 0},
        land={"clock_margin_s": 0}, stream={"keep_days": 3650},
    )  # fmt: skip
    cutover_ms = slot_start_ms(now_ms(), Spec())
    old = {"title": 1, "location": 0, "event_ms": cutover_ms - DAY_MS, "played": 0, "dwell_s": 1.0}
    blocks = blocks_of([(10**6, old, cutover_ms - DAY_MS)], cutover_ms, made.spec)
    install(made, cutover_ms, blocks=blocks, spec=made.spec, partitions=2)
    return made


def test_while_traffic_flows_and_is_landed_nothing_differs(settings, tmp_path):
    """Answers, table and topic move on between one look and the next: 20 rounds of all profiles."""
    chosen, events = choosing.named(range(1, 61), 2), 0
    with workers(settings, tmp_path) as start, server_of(settings, tmp_path) as address:
        start().ready()
        with (
            Flow(settings, SEED, records_per_s=200),
            ImpressionsClient(address, timeout_s=30) as client,
        ):
            begun_ms = now_ms()
            until(lambda: (client.describe().stream_through_ms or 0) > begun_ms, "the stream")
            for number in range(20):
                if number % 5 == 0:
                    land(settings)
                done = run_round(settings, client, now_ms, lambda raw, shards: chosen)
                assert (done.findings, done.skipped) == ((), ()), f"seed {SEED}, round {number}"
            events = sum(client.get(p, totals=True).totals["impressions"].sum() for p in range(61))
    assert events > 500, "there was traffic"


@pytest.mark.representative
def test_what_the_worker_and_raw_lost_is_found_in_real_traffic(settings, tmp_path):
    """Resends, late, early and broken events are no differences."""
    config = tmp_path / "impressions.toml"
    config.write_text(toml_of(settings.model_dump(mode="json", exclude_defaults=True)))
    everybody = [word for profile in range(1, 61) for word in ("--profile", str(profile))]
    traffic = Traffic(settings, SEED)
    with workers(settings, tmp_path) as start, server_of(settings, tmp_path) as address:
        module = "tests.reconciling.dropping_worker"
        worker = start(module=module, DROPPED=f"{LANDED},{LIVE}").ready()
        send(traffic, settings, 2**62, LANDED, LOST_IN_RAW)
        land(settings)
        send(traffic, settings, LIVE, 2**62 + 4)
        wait_applied(worker, settings)
        sent_ms = now_ms()
        with ImpressionsClient(address, timeout_s=10) as client:
            until(lambda: client.describe().stream_through_ms > sent_ms, "the stream is served")
        assert worker.log.count("INFO dropped") == 2
        dropped = {(log_id, title, "stream", "lacks") for log_id in (LANDED, LIVE)
                   for title in (500, 501)}  # fmt: skip
        code, report = reconcile(config, address, *everybody)
        assert (code, named(report)) == (6, dropped), f"seed {SEED}"
        assert [finding["reasons"] for finding in report["findings"]] == [[]]
        today = format_utc(slot_start_ms(now_ms(), Spec()))
        raw = tables.require(settings, tables.RAW, hint="")
        raw.delete(f"profile_id == 7 and log_id == {LOST_IN_RAW} and title_id == 501")
        code, report = reconcile(config, address, "--profile", "7", "--since", today)
        gone = {(LOST_IN_RAW, 501, "raw", "lacks")}
        assert (code, named(report)) == (6, dropped | gone), f"seed {SEED}"
        assert {e["layers"]["topic"] for f in report["findings"] for d in f["differences"]
                for e in d["events"]} == {"has"}  # fmt: skip
        land(settings)  # the service goes through the profiles that raw has
        held = tables.require(settings, tables.RAW, hint="").scan(selected_fields=["profile_id"])
        as_a_service(config, address, len(set(held.to_arrow()["profile_id"].to_pylist())))


def as_a_service(config, address, profiles):
    """It compares all profiles in its first round, counts, and ends well when it is asked to."""
    service = subprocess.Popen(
        [sys.executable, "-m", "batch.reconciling.verb", "--config", str(config), "--address",
        address,
         "--every", "1h", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ,
    )  # fmt: skip
    try:
        metrics = json.loads(service.stdout.readline())["metrics"]
        report = json.loads(service.stdout.readline())
        assert (report["counts"]["profiles"], report["counts"]["differing"]) == (profiles, 1)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        counted = f"impressions_reconcile_profiles_total {profiles}.0"
        text = until(lambda: _read(opener, metrics, counted), "the round is counted")
        assert 'impressions_reconcile_differing_total{answer="complete"} 1.0' in text
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
    finally:
        service.kill()
        service.wait()
        service.stdout.close()


def _read(opener, metrics, counted):
    text = opener.open(f"http://{metrics}/metrics", timeout=10).read().decode()
    return text if counted in text else None
