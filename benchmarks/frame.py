"""A row of the table, the goal it is held to, and how a time is taken.

Times are medians over several runs. The things to compare take turns within each run, so that a
busy moment of the machine meets all of them, and ratios stay meaningful where seconds do not.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from impressions.terminal.console import say

Work = Callable[[], object]


@dataclass(frozen=True)
class Goal:
    """A bound on a number of a row."""

    of: Literal["ours", "ratio_to_peer", "ratio_to_limit"]
    at: Literal["<=", ">="]
    value: float

    def __str__(self) -> str:
        what = {"ours": "", "ratio_to_peer": "peer", "ratio_to_limit": "limit"}[self.of]
        return f"{self.at} {self.value:g}{' x ' + what if what else ''}"

    def is_met(self, number: float) -> bool:
        return number <= self.value if self.at == "<=" else number >= self.value


@dataclass(frozen=True)
class Row:
    """One measure of one stage. Ratios are `ours` divided by the other number, whatever the unit:
    for rates more is better, for times and sizes less is."""

    stage: str
    measure: str
    ours: float
    unit: str
    peer: float | None
    limit: float | None
    ratio_to_peer: float | None
    ratio_to_limit: float | None
    goal: str | None
    met: bool | None


def row(
    stage: str,
    measure: str,
    ours: float,
    unit: str,
    *,
    peer: float | None = None,
    limit: float | None = None,
    goal: Goal | None = None,
) -> Row:
    """A row with its ratios, judged by its goal. A peer or limit that is NaN has failed, and is as
    one that is not there."""
    peer, limit = _known(peer), _known(limit)
    numbers = {
        "ours": ours,
        "ratio_to_peer": ours / peer if peer else None,
        "ratio_to_limit": ours / limit if limit else None,
    }
    judged = None if goal is None else numbers[goal.of]
    return Row(
        stage=stage,
        measure=measure,
        ours=ours,
        unit=unit,
        peer=peer,
        limit=limit,
        ratio_to_peer=numbers["ratio_to_peer"],
        ratio_to_limit=numbers["ratio_to_limit"],
        goal=None if goal is None else str(goal),
        met=None if goal is None or judged is None else goal.is_met(judged),
    )


def median_s(works: Mapping[str, Work], *, runs: int = 9, run_s: float = 0.05) -> dict[str, float]:
    """Median seconds of one call of each; each is called for about `run_s` in each of the runs."""
    loops = {name: _loops(work, run_s) for name, work in works.items()}
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            taken[name].append(_seconds(work, loops[name]) / loops[name])
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def in_turns(works: Mapping[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """Median of what each returns, for work that measures itself; they take turns. NaN where one
    turn was NaN."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for name, work in _turns(works, runs):
        found[name].append(work())
    return {
        name: math.nan if any(map(math.isnan, numbers)) else statistics.median(numbers)
        for name, numbers in found.items()
    }


class TooLong(BaseException):
    """A stage took too long. No Exception, so that no peer's failure hides it."""


def or_nan(name: str, work: Callable[[], float]) -> Callable[[], float]:
    """The work of a peer: NaN from its first failure on, and said why, so that the rows of all
    others are not lost with it."""
    failed = False

    def attempt() -> float:
        nonlocal failed
        if not failed:
            try:
                return work()
            except Exception as error:
                failed = True
                say(
                    f"bench: {name} failed, its columns stay empty: {type(error).__name__}: {error}"
                )
        return math.nan

    return attempt


def beside_ours(works: Mapping[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """`in_turns`, where any work but "ours" may fail."""
    return in_turns(
        {name: work if name == "ours" else or_nan(name, work) for name, work in works.items()}, runs
    )


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of log cost over log size by least squares: 1 is a straight line, 0 is flat."""
    slope, _ = np.polyfit(np.log(sizes), np.log(costs), 1)
    return float(slope)


def timed_s(work: Work) -> float:
    """Seconds of one call."""
    return _seconds(work, 1)


def _known(number: float | None) -> float | None:
    return None if number is None or math.isnan(number) else number


def _turns(
    works: Mapping[str, Callable[[], float]], runs: int
) -> Iterator[tuple[str, Callable[[], float]]]:
    for _ in range(runs):
        yield from works.items()


def _loops(work: Work, run_s: float) -> int:
    work()
    once_s = max(_seconds(work, 1), 1e-7)
    return max(1, round(run_s / once_s))


def _seconds(work: Work, loops: int) -> float:
    collecting = gc.isenabled()
    gc.disable()
    try:
        started_s = time.perf_counter()
        for _ in range(loops):
            work()
        return time.perf_counter() - started_s
    finally:
        if collecting:
            gc.enable()
