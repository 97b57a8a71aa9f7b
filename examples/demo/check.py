"""What a server answers, beside the same numbers recomputed from the raw events.

The oracle's logs are those of the imported file and those of the topic, read back with the broker's
times. Every (profile, title, location) of every profile is asked over gRPC in batches and compared
with oracle/naive.py: totals and last seen exactly, decayed sums within the tolerance of what is
stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from impressions.client import ImpressionsClient, ProfileResult, Top
from impressions.settings.model import Settings
from oracle import naive
from tests.compare import differences
from tests.live import everything_sent
from tests.tolerance import FLOAT32_STORED

WITHIN_S = 90
Rows = dict[tuple[int, int, int], Any]


@dataclass
class Checker:
    """Asks servers, and counts what was compared.

    Attributes:
        history: the oracle's logs of what was imported.
        accepted: everything that counts by now, as oracle/naive.py `accept` returns it.
        checked, differ: answers compared so far, and what differed.
    """

    settings: Settings
    history: list[Any] = field(default_factory=list)
    accepted: list[tuple[int, dict[str, Any], int]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    checked: int = 0
    differ: list[str] = field(default_factory=list)

    def look(self) -> int:
        """Read everything that was sent by now; returns the newest ingest time (ms)."""
        sent = everything_sent(self.settings)
        self.accepted, self.counts = naive.accept(self.history + sent, self.settings.spec.slot_ms)
        return max((log[2] for log in sent), default=0)

    def come_through(self, client: ImpressionsClient) -> None:
        """Wait until everything that was sent by now is in the answers."""
        newest_ms = self.look()
        wait(lambda: (through(client) or 0) > newest_ms, "the stream to come through")

    def answers(
        self,
        client: ImpressionsClient,
        query_ms: int,
        label: str,
        reasons: Collection[str] = (),
    ) -> str:
        """Compare all answers at one query time; each must give exactly these `reasons`.

        Returns:
            How many there were, and how many differ.
        """
        self.come_through(client)
        expected = naive.answers(self.accepted, query_ms)
        profiles = sorted({event[0] for event in self.accepted})
        found = ask(client, profiles, query_ms, reasons)
        differ = differences(found, expected, FLOAT32_STORED)
        self.checked += len(expected)
        self.differ += [f"{label}: {line}" for line in differ]
        summary = f"{len(expected):,} answers, {len(differ)} differ"
        print(f"  {label}: {summary}", flush=True)
        return summary

    def flagged(self, client: ImpressionsClient, query_ms: int, label: str) -> str:
        """Answers that cannot be exact must say so, every one of them; returns how many do."""
        profiles = sorted({event[0] for event in self.accepted})
        flagged = 0
        for result in client.get_many(profiles, at_ms=query_ms, top=Top(1, "plays", 7)):
            if not isinstance(result, ProfileResult):
                raise result
            if not result.context.complete and "past_tail_horizon" in result.context.reasons:
                flagged += 1
            else:
                self.differ.append(f"{label}: profile {result.profile_id} was not flagged")
        print(f"  {label}: {flagged:,} of {len(profiles):,} answers flagged", flush=True)
        return f"{flagged:,} of {len(profiles):,}"


class Flagged(AssertionError):
    """An answer is not complete, and says so, or is, and says that it is not."""


def ask(
    client: ImpressionsClient, profiles: list[int], query_ms: int, reasons: Collection[str] = ()
) -> Rows:
    """All rows of these profiles, in the form of tests.naive.answers."""
    rows: Rows = {}
    for result in client.get_many(
        profiles, by_location=True, totals=True, last_seen=True, at_ms=query_ms
    ):
        if not isinstance(result, ProfileResult):
            raise result
        if set(result.context.reasons) != set(reasons):
            raise Flagged(
                f"the answer at {query_ms} gives the reasons {result.context.reasons}, "
                f"expected {list(reasons)}"
            )
        rows.update(rows_of(result))
    return rows


def rows_of(result: ProfileResult) -> Rows:
    """One profile's answer, row by row."""
    assert result.locations is not None
    assert result.last_seen_ms is not None
    out: Rows = {}
    for i, (title, location) in enumerate(
        zip(result.title_ids.tolist(), result.locations.tolist(), strict=True)
    ):
        out[result.profile_id, title, location] = {
            "last_seen_ms": int(result.last_seen_ms[i]),
            **{measure: float(column[i]) for measure, column in result.totals.items()},
            **{pair: float(column[i]) for pair, column in result.decayed.items()},
        }
    return out


def through(client: ImpressionsClient) -> int | None:
    """How far the live stream has come on this server, all shards."""
    described = client.describe()
    return described.stream_through_ms if described.HasField("stream_through_ms") else None


def serves(client: ImpressionsClient, generation: str) -> None:
    """Wait until the server answers from this generation."""
    wait(
        lambda: client.describe().generation.generation_id == generation,
        f"the server to serve {generation}",
    )


def wait(condition: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    """Poll until true; a server that is not up yet counts as not true."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            if condition():
                return
        except Exception as error:
            last: Exception | None = error
        else:
            last = None
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {within_s} s for {what}: {last}")
        time.sleep(0.02)
