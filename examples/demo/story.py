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

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from examples.demo.check import Checker, serves, wait
from examples.demo.clients import delays_of, reading, same_answers
from examples.demo.generate import DAY_MS
from examples.demo.raw import Raw, prepare
from examples.demo.screen import Claim, Screen, quantile
from examples.demo.shell import Background, Shell, StepFailed, free_address
from examples.demo.traffic import Traffic
from impressions.client import ImpressionsClient
from impressions.clock import now_ms
from impressions.core.slot import format_utc, slot_start_ms
from impressions.formats.generation_paths import generation_id
from impressions.settings.model import Settings, load
from oracle import naive

SETTINGS = """\
partitions = {partitions}
slot_seconds = 20         # a "day" of ingest: weeks of batch runs pass in minutes

[land]
clock_margin_s = 1        # one machine, one clock

[speed]
clock_margin_s = 0.2
session_timeout_s = 6     # a killed worker's partitions move on after that

[serving]
listen = "{address}"

[audits]
volume_max_ratio = 1000   # one's own events may begin anywhere
"""

OWN_EVENTS = """
[quality]                 # the later half of the file is sent now: the days between have no events,
min_impressions = 1_000_000_000     # which compact would rightly refuse
"""
DELAYS = 200
LOGS_PER_S = 150


@dataclass(frozen=True)
class Options:
    """What to run on.

    Attributes:
        events: one's own file, mapped by `mapping`; None to generate a year from `seed`.
        generations: how many are computed, at least 2.
        profiles: take only so many of one's own file, drawn by the seed; None for all.
        partitions: shards, of the topics as of the tables.
        two_hosts: at the end, whether a second host on the newest generation answers the same as
            the first, which was rolled back, while traffic flows.
    """

    directory: Path
    events: Path | None
    mapping: Path
    seed: int
    generations: int = 2
    profiles: int | None = None
    partitions: int = 2
    two_hosts: bool = False


@dataclass(frozen=True)
class Outcome:
    """How the story ended: answers compared, which of them differ, over what, what that shows."""

    checked: int
    differ: list[str]
    profiles: int
    counts: dict[str, int]
    claims: list[Claim] = field(default_factory=list)


class Story:
    """The state of one run: its processes, its traffic, what was compared."""

    def __init__(self, options: Options, screen: Screen):
        self.options, self.screen = options, screen
        self.shell = Shell(options.directory, screen)
        self.address = free_address()
        config = options.directory / "impressions.toml"
        settings = SETTINGS.format(partitions=options.partitions, address=self.address)
        config.write_text(settings + (OWN_EVENTS if options.events else ""))
        shutil.copyfile(options.mapping, options.directory / "mapping.toml")
        home = f"home={options.directory / '.impressions'}"
        self.settings: Settings = load(config, [home])
        with screen.waiting("raw events"):
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
        self.claims: list[Claim] = []

    def tell(self) -> Outcome:
        """Run the story. Raises StepFailed where a command of it fails."""
        self.screen.stage("Kafka, the worker, the server; no generation yet")
        try:
            self.shell.run("kafka", "start")
            outcome = self._with_broker()
        except BaseException:
            self.stop()
            raise
        if ended_badly := self.stop():
            raise StepFailed("; ".join(ended_badly))
        return outcome

    def stop(self) -> list[str]:
        """Stop all processes; returns what did not end well."""
        with self.screen.waiting("all processes to stop"):
            ended_badly = self.shell.stop()
        self.shell.run("kafka", "stop")
        return ended_badly

    def _with_broker(self) -> Outcome:
        self.shell.run("topics", "create")
        worker = self.shell.background("worker", "speed")
        self.shell.background("server", "serve")
        raw, seed = self.raw, self.options.seed
        traffic = Traffic(self.settings, seed, raw.profiles, raw.titles)
        with ImpressionsClient(self.address, timeout_s=60) as client:
            self.live_only(client, traffic)
            self.history(client)
            self.see_it_happen(client, traffic)
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
            self.checker.checked, self.checker.differ, profiles, self.checker.counts, self.claims
        )

    def live_only(self, client: ImpressionsClient, traffic: Traffic) -> None:
        """Answers from the stream alone are right, and say what they lack."""
        traffic.send(300)
        traffic.flush()
        checked = self.check(client, now_ms(), "live only", reasons=["no_generation"])
        self.prove("the live stream alone", f"{checked}; each says no_generation")

    def history(self, client: ImpressionsClient) -> None:
        """The past, from files: generation 1."""
        self.screen.stage("The past: a year of history, generation 1")
        self.shell.run("land", "--from-files", self.raw.history.name, "--mapping", "mapping.toml")
        self.checker.history = self.raw.logs
        self.generation(client)
        first_ms = self.cutovers_ms[0]
        checked = self.check(client, now_ms(), "history and live")
        self.prove("a year of history and live", checked)
        checked = self.check(client, first_ms + 27 * DAY_MS, "27 days on")
        self.prove("27 days later", f"{checked}: old days have left the window")
        with self.screen.waiting("answers past the tail horizon"):
            flagged = self.checker.flagged(
                client, first_ms + 29 * DAY_MS, "29 days on: past the tail horizon"
            )
        self.prove("29 days later", f"{flagged} answers say that they are not exact")
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

    def see_it_happen(self, client: ImpressionsClient, traffic: Traffic) -> None:
        """Single impressions, until an answer shows each; and half of one's own file."""
        self.screen.stage("Live: from the event to the answer")
        if self.raw.live is not None:
            live = self.raw.live.name
            self.shell.run("produce", "--from", live, "--mapping", "mapping.toml")
        self.checker.come_through(client)
        with self.screen.waiting(f"{DELAYS} impressions on their way"):
            known = set(self.raw.profiles)
            unused = next(n for n in count(1) if n not in known)
            delays_ms = delays_of(client, traffic, unused, DELAYS)
        p50_ms, p99_ms = quantile(delays_ms, 0.5), quantile(delays_ms, 0.99)
        latency = f"p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms ({DELAYS} impressions)"
        self.screen.line(f"  {latency}")
        traffic.send(1_000)
        traffic.flush()
        self.check(client, now_ms(), "with live traffic")
        self.prove("from event to answer", latency)

    def kill_the_worker(
        self, client: ImpressionsClient, traffic: Traffic, worker: Background
    ) -> None:
        """In mid-stream, twice."""
        self.screen.stage("kill -9 of the worker in mid-stream")
        back_s: list[float] = []
        with traffic.flowing(LOGS_PER_S) as flow:
            for _ in range(2):
                sent = flow.sent
                wait(lambda sent=sent: flow.sent > sent + 200, "some traffic")  # type: ignore[misc]
                worker.check()
                self.screen.line(f"  $ kill -9 {worker.pid}   [{flow.sent:,} logs sent so far]")
                killed_s = time.monotonic()
                worker.kill()
                worker.again()
                with self.screen.waiting("the worker to have caught up"):
                    self.checker.come_through(client)
                back_s.append(time.monotonic() - killed_s)
        checked = self.check(client, now_ms(), "after two kills")
        caught_up = f"caught up within {max(back_s):.0f} s"
        self.screen.line(f"  {flow.sent:,} logs sent meanwhile; {caught_up}")
        self.prove("kill -9 of the worker, twice", f"{checked}; {caught_up}")

    def next_generation(self, client: ImpressionsClient, traffic: Traffic, number: int) -> None:
        """Computed and swapped in while traffic flows and a reader reads."""
        self.screen.stage(f"Slots have passed: generation {number}, swapped in under load")
        before = len(self.cutovers_ms)
        with traffic.flowing(LOGS_PER_S) as flow, reading(self.address, self.raw.profiles) as reads:
            self.generation(client)
        assert len(self.cutovers_ms) == before + 1
        meanwhile = f"{flow.sent:,} logs sent, {len(reads):,} reads answered, 0 failed"
        self.screen.line(f"  meanwhile {meanwhile}")
        checked = self.check(client, now_ms(), f"generation {number}")
        self.prove(f"generation {number} under load", meanwhile)
        self.prove(f"generation {number} and live", checked)

    def roll_back(self, client: ImpressionsClient) -> None:
        """One by one to the first generation; each answers what the newest did."""
        self.screen.stage("Rolled back, without a restart")
        query_ms = now_ms()
        for cutover_ms in reversed(self.cutovers_ms[:-1]):
            self.shell.run("bulkload", "rollback")
            serves(client, generation_id(cutover_ms))
            checked = self.check(client, query_ms, f"{generation_id(cutover_ms)} again")
            self.prove("rolled back, no restart", checked)

    def compare_hosts(self, client: ImpressionsClient, traffic: Traffic) -> None:
        """Generation invariance: the oldest and the newest generation, one stream, one time."""
        self.screen.stage("A second host on the newest generation, while traffic flows")
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
        self.screen.line(f"  {summary}; {flow.sent:,} logs were sent meanwhile")
        self.prove("two hosts on two generations", summary)

    def ask_for_some(self) -> None:
        """Show one profile as a person would ask for it, beside the raw recomputation."""
        at_ms = now_ms()
        profile = self._lively_profile(at_ms)
        answer = self.shell.run(
            "get", "--profile", str(profile), "--top", "5", "--by", "plays/7d",
            "--at", format_utc(at_ms),
        )  # fmt: skip
        for line in answer.splitlines()[:-1]:
            self.screen.line(f"      {line.rstrip()}")
        owned = [(p, {**e, "location": 0}, i) for p, e, i in self.checker.accepted if p == profile]
        top = sorted(naive.answers(owned, at_ms).items(), key=lambda row: -row[1]["plays", 7])[:5]
        self.screen.line("  the same from the raw events:")
        for (_, title, _), row in top:
            self.screen.line(
                f"      title {title:>5}  impressions {row['impressions']:>3}  "
                f"plays {row['plays']:>3}  plays/7d {row['plays', 7]:.4g}  "
                f"impressions/30d {row['impressions', 30]:.4g}"
            )

    def _lively_profile(self, at_ms: int) -> int:
        """One with more recent plays than nearly all others."""
        plays: dict[int, int] = {}
        for profile, event, _ in self.checker.accepted:
            recent = at_ms - event["event_ms"] < 30 * DAY_MS
            plays[profile] = plays.get(profile, 0) + (recent and event["played"])
        return sorted(plays, key=lambda p: (-plays[p], p))[len(plays) // 200]

    def check(
        self, client: ImpressionsClient, query_ms: int, label: str, reasons: Sequence[str] = ()
    ) -> str:
        """Compare all answers at one time; returns how many there were, and how many differ."""
        with self.screen.waiting(f"answers compared with the raw events: {label}"):
            return self.checker.answers(client, query_ms, label, reasons)

    def prove(self, what: str, number: str) -> None:
        """Keep it for the last screen."""
        self.claims.append(Claim(what, number))

    def _cutover_ms(self) -> int:
        """The newest slot start that the broker's clock has surely passed."""
        margin_ms = round(self.settings.land.clock_margin_s * 1000)
        return slot_start_ms(now_ms() - margin_ms, self.settings.spec)


def stages_of(options: Options) -> int:
    """How many stages the story has."""
    return 4 + options.generations + options.two_hosts


def tell(options: Options, screen: Screen | None = None) -> Outcome:
    """Run the story and compare every answer on the way."""
    with screen or Screen(stages_of(options)) as shown:
        return Story(options, shown).tell()
