"""What the server answers, beside the same numbers recomputed from the raw rows.

Every (profile, title, location) of every profile is asked over gRPC in batches and compared with
tests/naive.py: totals and last seen exactly, decayed sums within the tolerance of what is stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from serving.client import ImpressionsClient, ProfileResult, Top
from tests import naive
from tests.compare import differences
from tests.tolerance import FLOAT32_STORED

READY_WITHIN_S = 60


@dataclass
class Checker:
    """Asks one server and counts what was compared.

    Attributes:
        accepted: everything that counts, as tests/naive.py `accept` returns it.
    """

    client: ImpressionsClient
    accepted: list[tuple[int, dict[str, Any], int]]
    checked: int = 0
    differ: list[str] = field(default_factory=list)

    def answers(self, cutover_ms: int, query_ms: int, label: str) -> None:
        """Compare all answers of the generation with this cutover at one query time."""
        owned = [event for event in self.accepted if event[2] < cutover_ms]
        expected = naive.answers(owned, query_ms)
        found = self.ask(sorted({event[0] for event in owned}), query_ms)
        differ = differences(found, expected, FLOAT32_STORED)
        self.checked += len(expected)
        self.differ += [f"{label}: {line}" for line in differ]
        print(f"  {label}: {len(expected):,} answers, {len(differ)} differ", flush=True)

    def ask(self, profiles: list[int], query_ms: int) -> dict[tuple[int, int, int], Any]:
        """All rows of these profiles, in the form of tests.naive.answers."""
        rows: dict[tuple[int, int, int], Any] = {}
        for result in self.client.get_many(
            profiles, by_location=True, totals=True, last_seen=True, at_ms=query_ms
        ):
            if not isinstance(result, ProfileResult):
                raise result
            if not result.context.complete:
                raise AssertionError(f"answer at {query_ms} is flagged: {result.context.reasons}")
            rows.update(rows_of(result))
        return rows

    def flagged(self, cutover_ms: int, query_ms: int, label: str) -> None:
        """Answers that cannot be exact must say so, every one of them."""
        profiles = sorted({event[0] for event in self.accepted if event[2] < cutover_ms})
        flagged = 0
        for result in self.client.get_many(profiles, at_ms=query_ms, top=Top(1, "plays", 7)):
            if not isinstance(result, ProfileResult):
                raise result
            if not result.context.complete and "past_tail_horizon" in result.context.reasons:
                flagged += 1
            else:
                self.differ.append(f"{label}: profile {result.profile_id} was not flagged")
        print(f"  {label}: {flagged:,} of {len(profiles):,} answers flagged", flush=True)

    def wait_for(self, generation: str) -> None:
        """Until the server answers from this generation."""
        wait(
            lambda: self.client.describe().generation.generation_id == generation,
            f"serve {generation}",
        )


def rows_of(result: ProfileResult) -> dict[tuple[int, int, int], Any]:
    """One profile's answer, row by row."""
    assert result.locations is not None
    assert result.last_seen_ms is not None
    out: dict[tuple[int, int, int], Any] = {}
    for i, (title, location) in enumerate(
        zip(result.title_ids.tolist(), result.locations.tolist(), strict=True)
    ):
        out[result.profile_id, title, location] = {
            "last_seen_ms": int(result.last_seen_ms[i]),
            **{measure: float(column[i]) for measure, column in result.totals.items()},
            **{pair: float(column[i]) for pair, column in result.decayed.items()},
        }
    return out


def wait(condition: Callable[[], bool], what: str) -> None:
    """Poll until true; a server that is not up yet counts as not true."""
    deadline_s = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            if condition():
                return
        except Exception as error:
            last: Exception | None = error
        else:
            last = None
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {READY_WITHIN_S} s for the server to {what}: {last}")
        time.sleep(0.1)
