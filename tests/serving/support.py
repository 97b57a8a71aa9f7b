"""What the tests of the service share: real generations on a host, a real server on loopback.

install(settings, events)     publish, load and activate a generation, with the real bulk loader
serving(settings)             a started server in this process; stopped at the end
expected(events, ...)         what must be answered, by the naive oracle
result_rows(result)           an answer in the oracle's form
"""

import contextlib
import os
import time
from pathlib import Path

from bulkload.activate import activate
from bulkload.load import load
from impressions.client import ImpressionsClient
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import generation_id
from impressions.settings.model import Settings
from impressions.settings.sections.live import Host, Serving
from oracle import naive
from serving.wiring import create_server
from tests import patience
from tests.generations import CUTOVER_MS, blocks_of, publish, random_events

FRONT = os.environ.get("IMPRESSIONS_SERVING__FRONT", "loop")
"""Who takes the calls: tests/serving/test_both_fronts.py runs this folder with the other, too."""
SEED = 7
EVENTS = random_events(SEED, CUTOVER_MS + 7 * DAY_MS)
WEEK_2_MS = CUTOVER_MS + 7 * DAY_MS


def settings_in(home: Path, host: dict | None = None, **serving) -> Settings:
    """Settings of a host whose state is in `home` and whose server takes any free port."""
    return Settings(
        home=home,
        host=Host(reserve_bytes=0, **(host or {})),
        serving=Serving(
            **{"listen": "127.0.0.1:0", "poll_s": 0.02, "grace_s": 5, "front": FRONT, **serving}
        ),
    )


def install(
    settings: Settings, cutover_ms: int = CUTOVER_MS, events=EVENTS, blocks=None, **manifest_fields
) -> str:
    """Publish, load and activate the generation with this cutover; its name."""
    name = generation_id(cutover_ms)
    blocks = blocks or blocks_of(events, cutover_ms)
    publish(Path(settings.generations), blocks, cutover_ms, **manifest_fields)
    load(settings, name)
    activate(settings, name)
    return name


@contextlib.contextmanager
def serving(settings: Settings, **options):
    """A server that answers."""
    server = create_server(settings, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop(drain_s=0)


@contextlib.contextmanager
def client_of(server, **options):
    with ImpressionsClient(server.address, **{"timeout_s": 10, **options}) as client:
        yield client


def until(condition, what: str, within_s: float = 30.0):
    """Wait until `condition()` is true; its value. Fails after the deadline, saying what for (how
    long that is: tests/patience.py)."""
    within_s *= patience.FACTOR
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s} s: {what}")


def metric(server, name: str, **labels) -> float | None:
    """A sample of this server's /metrics."""
    return server.metrics.registry.get_sample_value(name, labels)


def expected(events, cutover_ms: int, query_ms: int) -> dict:
    """{(profile, title, location): row} that a generation with this cutover must answer."""
    return naive.answers([e for e in events if e[2] < cutover_ms], query_ms)


def expected_of(profile: int, events, cutover_ms: int, query_ms: int) -> dict:
    return expected([e for e in events if e[0] == profile], cutover_ms, query_ms)


def by_title(rows: dict) -> dict:
    """The oracle's rows with the locations of each title added up; location is 0."""
    out: dict = {}
    for (profile, title, _), row in rows.items():
        kept = out.setdefault((profile, title, 0), dict.fromkeys(row, 0))
        for column, value in row.items():
            newest = column == "last_seen_ms"
            kept[column] = max(kept[column], value) if newest else kept[column] + value
    return out


def result_rows(result) -> dict:
    """A result with all columns, in the form of the oracle."""
    out = {}
    for i, title in enumerate(result.title_ids.tolist()):
        location = 0 if result.locations is None else int(result.locations[i])
        row = {"last_seen_ms": int(result.last_seen_ms[i])}
        row.update({name: float(values[i]) for name, values in result.totals.items()})
        row.update({pair: float(values[i]) for pair, values in result.decayed.items()})
        out[result.profile_id, title, location] = row
    return out
