"""The steps of the demo, in order, each one a command that an operator would type.

1  Kafka, the worker, the server     live only: answers say that there is no generation yet
2  history                           a year imported, generation 1 computed, loaded, activated
3  live traffic                      a title's numbers change within a second of the event
4  kill -9 of the worker             in mid-stream; started again
5  a week later                      ingest slots of 20 s have passed on the broker's clock: landed,
                                     closed, generation 2 swapped in under load
6  rollback                          generation 1 again, nothing changes in the answers

After each step every answer is compared with the raw events (examples/demo/check.py). `generations`
above two repeat step 5; the rollback then goes back one by one.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from examples.demo.check import Checker, ask, serves, wait
from examples.demo.generate import DAY_MS
from examples.demo.raw import Raw, prepare
from examples.demo.shell import Background, Shell, StepFailed, free_address
from examples.demo.traffic import Traffic
from impressions.client import ImpressionsClient
from impressions.clock import now_ms
from impressions.core.slot import format_utc, slot_start_ms
from impressions.formats.generation_paths import generation_id
from impressions.kafka.record_packing import Impression, Log
from impressions.settings.model import Settings, load
from oracle import year as naive
from tests.compare import differences
from tests.tolerance import FLOAT32_STORED

SETTINGS = """\
partitions = 4
slot_seconds = 20         # a "day" of ingest: weeks of batch runs pass in minutes

[land]
clock_margin_s = 1        # one machine, one clock

[speed]
clock_margin_s = 0.2

[audits]
volume_max_ratio = 1000   # one's own events may begin anywhere
"""
SHOWN = Log(1_000_001, 1, [])
DELAYS = 10
LOGS_PER_S = 150


@dataclass(frozen=True)
class Options:
    """What to run on.

    Attributes:
        events: one's own file, mapped by `mapping`; None to generate a year from `seed`.
        generations: how many are computed, at least 2.
        profiles: take only so many of one's own file, drawn by the seed; None for all.
        inside: verbs that run in this process (examples/demo/shell.py).
        two_hosts: at the end, whether a second host on the newest generation answers the same as
            the first, which was rolled back, while traffic flows.
    """

    directory: Path
    events: Path | None
    mapping: Path
    seed: int
    generations: int = 2
    profiles: int | None = None
    inside: tuple[str, ...] = ()
    two_hosts: bool = False


@dataclass(frozen=True)
class Outcome:
    """How the story ended: answers compared, which of them differ, and over what."""

    checked: int
    differ: list[str]
    profiles: int
    counts: dict[str, int]
    delays_ms: list[float]


class Story:
    """The state of one run: its processes, its traffic, what was compared."""

    def __init__(self, options: Options):
        self.options, self.shell = options, Shell(options.directory, options.inside)
        self.address = free_address()
        config = options.directory / "impressions.toml"
        config.write_text(SETTINGS)
        home = f"home={options.directory / '.impressions'}"
        self.settings: Settings = load(config, [home])
        self.raw: Raw = prepare(
            options.directory,
            options.events,
            options.mapping,
            options.seed,
            now_ms(),
            options.profiles,
        )
        self.checker = Checker(self.settings)
        self.cutovers_ms: list[int] = []

    def tell(self) -> Outcome:
        """Run the story."""
        say("1. Kafka, the worker, the server; no generation yet")
        self.shell.run("kafka", "start")
        try:
            return self._with_broker()
        finally:
            ended_badly = self.shell.stop()
            self.shell.run("kafka", "stop")
            if ended_badly:
                raise StepFailed("; ".join(ended_badly))

    def _with_broker(self) -> Outcome:
        self.shell.run("topics", "create")
        worker = self.shell.background("worker", "speed")
        self.shell.background("server", "serve", "--set", f"serving.listen={self.address}")
        raw, seed = self.raw, self.options.seed
        traffic = Traffic(self.settings, seed, raw.profiles, raw.titles)
        with ImpressionsClient(self.address, timeout_s=60) as client:
            self.live_only(client, traffic)
            self.history(client)
            delays_ms = self.see_it_happen(client, traffic)
            self.kill_the_worker(client, traffic, worker)
            for number in range(2, self.options.generations + 1):
                self.next_generation(client, traffic, number)
            self.roll_back(client)
            if self.options.two_hosts:
                self.compare_hosts(client, traffic)
            self.shell.run("status")
        traffic.close()
        profiles = len({profile for profile, _, _ in self.checker.accepted})
        return Outcome(
            self.checker.checked, self.checker.differ, profiles, self.checker.counts, delays_ms
        )

    def live_only(self, client: ImpressionsClient, traffic: Traffic) -> None:
        """Answers from the stream alone are right, and say what they lack."""
        traffic.send(300)
        traffic.flush()
        self.checker.answers(client, now_ms(), "live only", reasons=["no_generation"])

    def history(self, client: ImpressionsClient) -> None:
        """The past, from files: generation 1."""
        say("2. The past: a year of history, generation 1")
        file, mapping = self.raw.history.name, str(self.options.mapping)
        self.shell.run("land", "--from-files", file, "--mapping", mapping)
        self.checker.history = self.raw.logs
        self.generation(client)
        first_ms = self.cutovers_ms[0]
        self.checker.answers(client, now_ms(), "history and live")
        self.checker.answers(client, first_ms + 27 * DAY_MS, "27 days on")
        self.checker.flagged(client, first_ms + 29 * DAY_MS, "29 days on: past the tail horizon")
        self.ask_for_some()

    def generation(self, client: ImpressionsClient) -> None:
        """One scheduled run: land, close, compact, export, load, activate."""
        newest_ms = self.cutovers_ms[-1] if self.cutovers_ms else 0
        wait(lambda: self._cutover_ms() > newest_ms, "the ingest slot to pass")
        cutover_ms = self._cutover_ms()
        generation = generation_id(cutover_ms)
        self.shell.run("land", "--once")
        self.shell.run("close")
        self.shell.run("compact", "--logical-date", format_utc(cutover_ms))
        self.shell.run("export", "--generation", generation)
        self.shell.run("bulkload", "load", generation)
        self.shell.run("bulkload", "activate", generation)
        serves(client, generation)
        self.cutovers_ms.append(cutover_ms)

    def see_it_happen(self, client: ImpressionsClient, traffic: Traffic) -> list[float]:
        """One impression at a time, until an answer shows it; and half of one's own file."""
        say("3. Live: from the event to the answer")
        if self.raw.live is not None:
            mapping = str(self.options.mapping)
            self.shell.run("produce", "--from", self.raw.live.name, "--mapping", mapping)
        self.checker.come_through(client)
        delays_ms = [self._delay_ms(client, traffic, n) for n in range(1, DELAYS + 1)]
        shown = ", ".join(f"{ms:.0f}" for ms in delays_ms)
        print(f"  seen after {shown} ms; median {statistics.median(delays_ms):.0f} ms")
        traffic.send(1_000)
        traffic.flush()
        self.checker.answers(client, now_ms(), "with live traffic")
        return delays_ms

    def kill_the_worker(
        self, client: ImpressionsClient, traffic: Traffic, worker: Background
    ) -> None:
        """In mid-stream, twice."""
        say("4. kill -9 of the worker in mid-stream")
        with traffic.flowing(LOGS_PER_S) as flow:
            for _ in range(2):
                sent = flow.sent
                wait(lambda sent=sent: flow.sent > sent + 200, "some traffic")  # type: ignore[misc]
                worker.check()
                print(f"  kill -9 {worker.pid}, {flow.sent:,} logs sent so far")
                worker.kill()
                worker.again()
                self.checker.come_through(client)
        self.checker.answers(client, now_ms(), "after two kills")

    def next_generation(self, client: ImpressionsClient, traffic: Traffic, number: int) -> None:
        """Computed and swapped in while traffic flows and a reader reads."""
        say(f"5. Slots have passed: generation {number}, swapped in under load")
        before = len(self.cutovers_ms)
        with traffic.flowing(LOGS_PER_S) as flow, reading(self.address, self.raw.profiles) as reads:
            self.generation(client)
        assert len(self.cutovers_ms) == before + 1
        print(f"  {flow.sent:,} logs were sent and {len(reads):,} reads answered meanwhile")
        self.checker.answers(client, now_ms(), f"generation {number}")

    def roll_back(self, client: ImpressionsClient) -> None:
        """One by one to the first generation; each answers what the newest did."""
        say("6. Rolled back, without a restart")
        query_ms = now_ms()
        for cutover_ms in reversed(self.cutovers_ms[:-1]):
            self.shell.run("bulkload", "rollback")
            serves(client, generation_id(cutover_ms))
            self.checker.answers(client, query_ms, f"{generation_id(cutover_ms)} again")

    def compare_hosts(self, client: ImpressionsClient, traffic: Traffic) -> None:
        """Generation invariance: the oldest and the newest generation, one stream, one time."""
        say("7. A second host on the newest generation, while traffic flows")
        newest, address = generation_id(self.cutovers_ms[-1]), free_address()
        there = ("--set", f"host.data_dir={self.options.directory / 'second-host'}")
        self.shell.run("bulkload", "load", newest, *there)
        self.shell.run("bulkload", "activate", newest, *there)
        self.shell.background("second", "serve", *there, "--set", f"serving.listen={address}")
        with ImpressionsClient(address, timeout_s=60) as second:
            serves(second, newest)
            self.checker.come_through(second)
            with traffic.flowing(LOGS_PER_S) as flow:
                differ, compared = same_answers(client, second, self.raw.profiles, now_ms())
        self.checker.checked += compared
        self.checker.differ += differ
        summary = f"{compared:,} answers of two generations, {len(differ)} differ"
        print(f"  {summary}; {flow.sent:,} logs were sent meanwhile", flush=True)

    def ask_for_some(self) -> None:
        """Show one profile as a person would ask for it, beside the raw recomputation."""
        at_ms = now_ms()
        counts: dict[int, int] = {}
        for profile, _, _ in self.checker.accepted:
            counts[profile] = counts.get(profile, 0) + 1
        profile = sorted(counts, key=lambda p: (-counts[p], p))[len(counts) // 10]
        self.shell.run(
            "get", "--profile", str(profile), "--top", "5", "--by", "plays/7d",
            "--at", format_utc(at_ms), "--address", self.address,
        )  # fmt: skip
        owned = [(p, {**e, "location": 0}, i) for p, e, i in self.checker.accepted if p == profile]
        top = sorted(naive.answers(owned, at_ms).items(), key=lambda row: -row[1]["plays", 7])[:5]
        print("  the same from the raw events:")
        for (_, title, _), row in top:
            print(
                f"    title {title:>6}  impressions {row['impressions']:>4}  "
                f"plays {row['plays']:>3}  plays/7d {row['plays', 7]:.6f}  "
                f"impressions/30d {row['impressions', 30]:.6f}"
            )

    def _delay_ms(self, client: ImpressionsClient, traffic: Traffic, number: int) -> float:
        event = Impression(title_id=77, event_time_ms=now_ms(), dwell_s=1.0)
        started_s = time.monotonic()
        traffic.send_one(Log(SHOWN.profile_id, number, [event]))

        def seen() -> bool:
            (result,) = client.get_many([SHOWN.profile_id], totals=True)
            return bool(result.totals["impressions"].sum() >= number)  # type: ignore[union-attr]

        wait(seen, "the impression to be in the answer")
        return (time.monotonic() - started_s) * 1000

    def _cutover_ms(self) -> int:
        """The newest slot start that the broker's clock has surely passed."""
        margin_ms = round(self.settings.land.clock_margin_s * 1000)
        return slot_start_ms(now_ms() - margin_ms, self.settings.spec)


@contextmanager
def reading(address: str, profiles: list[int]) -> Iterator[list[int]]:
    """Reads all the time, from a thread; a read that fails fails the block."""
    answered: list[int] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        with ImpressionsClient(address, timeout_s=30) as client:
            while not stop.wait(0.01):
                try:
                    some = profiles[len(answered) % len(profiles)]
                    ask(client, [some], now_ms())
                    answered.append(some)
                except BaseException as error:
                    failures.append(error)
                    return

    thread = threading.Thread(target=read, name="reader")
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


def same_answers(
    first: ImpressionsClient, second: ImpressionsClient, profiles: list[int], query_ms: int
) -> tuple[list[str], int]:
    """Compare two servers profile by profile, and count the answers.

    The first is asked before and after the second; where its own answer changed in between, an
    event came, and the profile is asked again.
    """
    differ: list[str] = []
    compared = 0
    for profile in profiles[:: max(1, len(profiles) // 500)]:
        found = [f"profile {profile}: never the same for as long as three reads take"]
        for _ in range(50):
            before = ask(first, [profile], query_ms)
            other = ask(second, [profile], query_ms)
            if before == ask(first, [profile], query_ms):
                found = differences(other, before, FLOAT32_STORED)
                if not found:
                    compared += len(before)
                    break
        else:
            differ += [f"two hosts: {line}" for line in found]
    return differ, compared


def tell(options: Options) -> Outcome:
    """Run the story and compare every answer on the way."""
    return Story(options).tell()


def say(text: str) -> None:
    print(f"\n--- {text}", flush=True)
