"""Several servers asked in turns: requests per second of each, and the CPU time of one request.

A turn is a closed loop of some callers for a second or two. CPU time is that of every process
behind an answer, a store's server included, and of that same turn. Servers wait while others are
asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.frame import in_turns, or_nan
from benchmarks.json_client import JsonClient
from benchmarks.load_client import CALLERS, Client
from benchmarks.server import Server

OURS = "ours"
_RUNS, _RUN_S = 3, 1.5


@dataclass(frozen=True)
class Asked:
    """Who is asked what.

    Attributes:
        servers: every process whose CPU time counts.
    """

    client: Client | JsonClient
    requests: Sequence[bytes]
    servers: tuple[Server, ...]
    run_s: float = _RUN_S


@dataclass(frozen=True)
class Found:
    """Medians by name; NaN for a peer that failed."""

    per_s: Mapping[str, float]
    cpu_us: Mapping[str, float]


def contest(asked: Mapping[str, Asked], callers: int = CALLERS) -> Found:
    """Ask all of them in turns. A failure of "ours" is raised, one of a peer is said."""
    works: dict[str, Callable[[], float]] = {}
    for name, each in asked.items():
        turns = _Turns(each, callers)
        rate = turns.per_s if name == OURS else or_nan(name, turns.per_s)
        works |= {name: rate, f"{name}, CPU": turns.cpu_us}
    found = in_turns(works, _RUNS)
    return Found(
        per_s={name: found[name] for name in asked},
        cpu_us={name: found[f"{name}, CPU"] for name in asked},
    )


class _Turns:
    def __init__(self, asked: Asked, callers: int):
        self._asked, self._callers, self._cpu_us = asked, callers, float("nan")

    def per_s(self) -> float:
        asked, self._cpu_us = self._asked, float("nan")
        before_s = self._cpu_s()
        count, per_s = asked.client.closed(asked.requests, asked.run_s, self._callers)
        self._cpu_us = (self._cpu_s() - before_s) / count * 1e6
        return per_s

    def cpu_us(self) -> float:
        """Of a request of the turn just ended."""
        return self._cpu_us

    def _cpu_s(self) -> float:
        return sum(server.cpu_s() for server in self._asked.servers)
