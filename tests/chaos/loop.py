"""A round: traffic flows, one fault is made, the system recovers, every answer is compared.

The seed decides the order of the faults and each one's details; when within a millisecond it
happens is the machine's. A round that finds anything lost, counted twice, wrong or stale, or that
does not recover, ends the run: the directory is kept as it stands.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from examples.demo.check import Flagged
from impressions.clock import now_ms
from tests.chaos import (
    faults_batch,
    faults_brokers,
    faults_cluster,
    faults_events,
    faults_processes,
    faults_state,
)
from tests.chaos.judge import Verdict, tally
from tests.chaos.skip import Skip
from tests.chaos.system import Fault, System
from tests.chaos.watcher import Watcher

LOGS_PER_S = 60
_ASKED_AGAIN = 4
_WEIGHTS = {
    "swap": 0.8, "kill_weekly_run": 0.4, "kill_lander": 0.4, "step_lander_clock": 0.6,
    "corrupt_before_load": 0.3, "kill_load": 0.3, "kill_activate": 0.3,
}  # fmt: skip
"""Of 1: a weekly run takes as long as five other rounds."""
FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for module in (faults_processes, faults_brokers, faults_state, faults_batch, faults_events)
    for fault in module.ALL
}
OF_A_CLUSTER: dict[str, Fault] = {fault.__name__: fault for fault in faults_cluster.ALL}


def faults_with(brokers: int) -> dict[str, Fault]:
    """What can be broken where so many brokers run."""
    return FAULTS | OF_A_CLUSTER if brokers > 1 else FAULTS


@dataclass
class Outcome:
    """What became of one kind of fault."""

    recovery_s: list[float] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)

    def as_dict(self, name: str) -> dict[str, object]:
        seconds = self.recovery_s
        return {
            "fault": name,
            "fired": len(seconds),
            "recovery_median_s": round(statistics.median(seconds), 2) if seconds else None,
            "recovery_max_s": round(max(seconds), 2) if seconds else None,
            "answers": self.verdict.answers,
            "samples": self.verdict.samples,
            "lost": self.verdict.lost,
            "twice": self.verdict.twice,
            "wrong": self.verdict.wrong,
        }


class RoundFailed(Exception):
    """Which round, and what it found."""


def run(
    system: System,
    rounds: int,
    outcomes: dict[str, Outcome],
    until_s: float,
    say: Callable[[str], None],
) -> None:
    """Rounds until there were enough, or until `until_s` (monotonic), with the faults that
    `outcomes` names, which is where it writes what became of them. Raises RoundFailed."""
    watcher = Watcher(system.address, system.raw.profiles, system.seed)
    try:
        for number in range(1, rounds + 1):
            if time.monotonic() > until_s:
                say(f"time is up after {number - 1} rounds")
                break
            name = _round(system, watcher, number, outcomes, say)
            verdict = outcomes[name].verdict
            if not verdict.good:
                examples = "\n".join(verdict.examples[:20])
                raise RoundFailed(f"round {number}, {name}:\n{examples}")
    finally:
        watcher.close()


def _round(
    system: System,
    watcher: Watcher,
    number: int,
    outcomes: dict[str, Outcome],
    say: Callable[[str], None],
) -> str:
    pick = random.Random(f"{system.seed}/{number}")
    with system.traffic.flowing(LOGS_PER_S):
        time.sleep(pick.uniform(0.2, 1))
        name, what = _break_something(system, outcomes, pick, number)
        began_s = time.monotonic()
        try:
            system.has_recovered()
        except AssertionError as error:
            raise RoundFailed(f"round {number}, {name} ({what}): {error}") from error
        recovery_s = time.monotonic() - began_s
    verdict = _compared(system)
    samples = watcher.take()
    lag_ms = round(system.settings.serving.max_stream_lag_s * 1000)
    verdict += system.judge.samples(samples, lag_ms)
    outcomes[name].recovery_s.append(recovery_s)
    outcomes[name].verdict += verdict
    flagged = tally([reason for sample in samples for reason in sample.reasons])
    say(
        f"{number:4} {name:24} {what[:46]:46} whole again in {recovery_s:5.1f} s  "
        f"{verdict.answers:,} answers, {verdict.samples:,} reads meanwhile"
        f"{' (flagged: ' + flagged + ')' if flagged else ''}  "
        f"lost {verdict.lost} twice {verdict.twice} wrong {verdict.wrong}"
    )
    return name


def _compared(system: System) -> Verdict:
    """Every answer beside the oracle's, once all of them say that they are complete.

    A fault may strike late: a worker that wrote beside its heir ends when it notices. Answers are
    then flagged once more, and asked for again.
    """
    for _ in range(_ASKED_AGAIN):
        system.has_recovered()
        with contextlib.suppress(Flagged):
            return system.judge.compare(system.client, now_ms())
    raise RoundFailed(f"answers were flagged {_ASKED_AGAIN} times after they had been whole")


def _break_something(
    system: System, outcomes: dict[str, Outcome], pick: random.Random, number: int
) -> tuple[str, str]:
    """Draw until a fault can be made."""
    names = list(outcomes)
    reasons = []
    for _ in range(50):
        name = pick.choices(names, [_WEIGHTS.get(name, 1.0) for name in names])[0]
        try:
            return name, (FAULTS | OF_A_CLUSTER)[name](system, pick)
        except Skip as reason:
            reasons.append(f"{name}: {reason}")
            time.sleep(0.2)
        except (AssertionError, TimeoutError) as error:
            raise RoundFailed(f"round {number}, {name}: {error}") from error
    raise RoundFailed(f"round {number}: no fault could be made: {'; '.join(reasons[-3:])}")
