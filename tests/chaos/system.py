"""What runs: brokers, two workers, a server with its follower, batch jobs, and live traffic.

There is one broker, or three of one cluster (tests/cluster.py). All of it is real and as a person
would start it, with settings that let weeks pass in minutes: an ingest slot takes half a minute,
and a stream that is five seconds behind is flagged. With an odd seed two processes serve, which
share a port and the host's one copy of the deltas.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from examples.demo.check import serves, through
from examples.demo.generate import DAY_MS, Size, write_year
from examples.demo.raw import Raw, of_history, prepare
from examples.demo.shell import free_address
from examples.demo.traffic import Traffic
from impressions.client import ImpressionsClient
from impressions.clock import now_ms
from impressions.core.slot import format_utc, slot_start_ms
from impressions.formats.generation_paths import generation_id
from impressions.local.broker import Broker
from impressions.process import registry
from impressions.settings.model import Settings, load
from tests.chaos.driver import Driver, DriverDied
from tests.chaos.judge import Judge
from tests.chaos.service import Keeper, Service
from tests.cluster import Cluster
from tests.live import until

ROOT = Path(__file__).parents[2]
HISTORY_DAYS = 6
PROFILES, TITLES = 120, 60
RECOVERED_WITHIN_S = 120
SETTINGS = """\
home = "home"
partitions = 4
slot_seconds = 30
generations_uri = "generations"

[land]
clock_margin_s = 1

[speed]
clock_margin_s = 0.5
session_timeout_s = 6

[serving]
max_stream_lag_s = 5
workers = {workers}
listen = "{address}"

[host]
data_dir = "disk/host"
reserve_bytes = "4MiB"

[audits]
volume_max_ratio = 1000
volume_min_ratio = 0.2
sample_profiles = 20

[spark]
master = "local[2]"
driver_memory = "1g"
conf = {{ "spark.sql.shuffle.partitions" = "2" }}
"""
OF_A_CLUSTER = """
[kafka]
bootstrap = "{bootstrap}"
replication_factor = 3
"""


class System:
    """Everything that runs in one directory.

    Attributes:
        disk: the file system of the host's data; small, where it could be mounted.
        cutovers_ms: of the generations that exist, ascending.
        brokers: by their number in the cluster, 1 where there is one.
        cluster: they together; None where there is one.
    """

    def __init__(
        self, directory: Path, seed: int, events: Path | None, mapping: Path, brokers: int
    ):
        self.directory, self.disk, self.seed = directory, directory / "disk", seed
        self.address = free_address()
        (directory / "logs").mkdir(exist_ok=True)
        self.disk.mkdir(exist_ok=True)
        self.cluster = Cluster(directory / "brokers") if brokers > 1 else None
        config = directory / "impressions.toml"
        config.write_text(
            SETTINGS.format(address=self.address, workers=1 + seed % 2)
            + (OF_A_CLUSTER.format(bootstrap=self.cluster.bootstrap) if self.cluster else "")
        )
        os.chdir(directory)
        self.settings: Settings = load(config, [])
        self.raw = _history(directory, seed, events, mapping)
        self.keeper, self.driver = Keeper(), Driver(directory)
        self.brokers = self.cluster.nodes if self.cluster else {1: Broker(self.settings)}
        self.judge = Judge(self.settings, self.raw.logs)
        self.cutovers_ms: list[int] = []
        self._environment = {"PYTHONUNBUFFERED": "1", "GRPC_VERBOSITY": "NONE"}
        os.environ["PYTHONPATH"] = str(ROOT)

    def start(self, mapping: Path) -> None:
        """Up, with a year imported and generation 1 serving."""
        self._kafka.start()
        self.verb("topics", "create")
        self.workers = [self._service(f"worker-{n}", "speed") for n in range(2)]
        self.server = self._service("server", "serve")
        self.client = ImpressionsClient(self.address, timeout_s=60)
        self.traffic, self.burst = (
            Traffic(self.settings, seed, self.raw.profiles, self.raw.titles)
            for seed in (self.seed, self.seed + 1)
        )
        file = str(self.raw.history)
        self.batch("land", "--from-files", file, "--mapping", str(mapping))
        self.traffic.send(200)
        self.traffic.flush()
        self.generation()
        if self.raw.live is not None:
            self.verb("produce", "--from", str(self.raw.live), "--mapping", str(mapping))

    def close(self) -> dict[str, int]:
        """Down; how each service ended, of those that did not end well."""
        self.traffic.close()
        self.burst.close()
        self.client.close()
        ended = self.keeper.close()
        self.driver.kill()
        self._kafka.stop()
        return {name: code for name, code in ended.items() if code}

    def kill_everything(self) -> None:
        """However it stands."""
        for service in self.keeper.services:
            service.wanted = False
            service.resume()
            service.process.kill()
        self.driver.kill()
        self._kafka.kill()

    # -- what an operator does -------------------------------------------------------------------

    def try_verb(self, *words: str) -> tuple[int, str]:
        """Exit code and everything printed by `impressions <words>`."""
        done = subprocess.run(
            [sys.executable, "-m", "impressions.cli.main", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout

    def verb(self, *words: str) -> None:
        code, said = self.try_verb(*words)
        assert code == 0, f"impressions {' '.join(words)} exited with {code}: {said}"

    def batch(self, *words: str) -> None:
        """A batch verb, tried again where the driver has died under it."""
        for _ in range(3):
            try:
                code = self.driver.run(*words)
            except DriverDied:
                continue
            if code == 0:
                return
        raise AssertionError(f"impressions {' '.join(words)} failed; see logs/driver.log")

    def is_due(self) -> bool:
        """Whether a slot has ended since the last cutover."""
        return self.due_cutover_ms() > (self.cutovers_ms[-1] if self.cutovers_ms else 0)

    def due_cutover_ms(self) -> int:
        margin_ms = round(self.settings.land.clock_margin_s * 1000)
        return slot_start_ms(now_ms() - margin_ms, self.settings.spec)

    def compute(self) -> str:
        """Land, close, compact, export: a new generation where exports go; returns its name."""
        until(self.is_due, "the ingest slot to pass", 60)
        cutover_ms = self.due_cutover_ms()
        for words in _weekly(cutover_ms):
            self.batch(*words)
        self.cutovers_ms.append(cutover_ms)
        return generation_id(cutover_ms)

    def first_failure(self, cutover_ms: int) -> str | None:
        """The same, tried once; the verb that failed, with its exit code. None: it was made."""
        for words in _weekly(cutover_ms):
            if code := self.driver.run(*words):
                return f"{words[0]} exits {code}"
        return None

    def install(self, generation: str) -> None:
        """Load and activate; the server answers from it."""
        self.verb("bulkload", "load", generation)
        self.verb("bulkload", "activate", generation)
        self.serves(generation)
        self.verb("bulkload", "gc")

    def generation(self) -> None:
        self.install(self.compute())

    # -- where it stands -------------------------------------------------------------------------

    def has_recovered(self) -> bool:
        """Whether every answer is complete, and holds everything that was sent by now."""
        newest_ms = self.judge.look()

        def whole() -> bool:
            try:
                # Each call takes the next connection, and so may reach another process.
                if any((through(self.client) or 0) <= newest_ms for _ in range(4)):
                    return False
                results = self.client.get_many(self.raw.profiles[:64], top=None)
                return all(not result.context.reasons for result in results)  # type: ignore[union-attr]
            except Exception:
                return False

        return bool(until(whole, "answers that are whole again", RECOVERED_WITHIN_S))

    def serves(self, generation: str) -> None:
        """Wait until every server process answers from it; each call takes the next connection."""
        for _ in range(4):
            serves(self.client, generation)

    def pids(self, kind: str) -> list[int]:
        """Of the processes that say they run, such as the followers."""
        return [entry.pid for entry in registry.running(self.settings) if entry.kind == kind]

    @property
    def _kafka(self) -> Broker | Cluster:
        return self.cluster or self.brokers[1]

    def _service(self, name: str, *words: str) -> Service:
        return self.keeper.add(Service(name, words, self.directory, self._environment))


def _weekly(cutover_ms: int) -> tuple[tuple[str, ...], ...]:
    return (
        ("land", "--once"),
        ("close",),
        ("compact", "--logical-date", format_utc(cutover_ms)),
        ("export", "--generation", generation_id(cutover_ms)),
    )


def _history(directory: Path, seed: int, events: Path | None, mapping: Path) -> Raw:
    """The last days of a generated year, or a few profiles of one's own file."""
    if events is not None:
        return prepare(directory, events, mapping, seed, now_ms(), PROFILES)
    columns = tomllib.loads(mapping.read_text())["columns"]
    file = directory / "history.parquet"
    write_year(file, now_ms() - 3_600_000, seed, Size(20_000, PROFILES, TITLES))
    table = pq.read_table(file)
    newest_ms = pc.max(table["received_at_ms"]).as_py()
    recent = pc.field("received_at_ms") > newest_ms - HISTORY_DAYS * DAY_MS
    pq.write_table(table.filter(recent), file)
    return of_history(file, columns)


Fault = Callable[[System, random.Random], str]
