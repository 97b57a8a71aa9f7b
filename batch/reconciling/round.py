"""One round: a table, a topic and a server opened, profiles chosen, compared shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batch.reconciling.choosing import Chosen
from batch.reconciling.findings import Finding, Skipped
from batch.reconciling.landed import LandedTable, read_table
from batch.reconciling.live_topic import topic_of
from batch.reconciling.looking import Compared, Parts, compare
from batch.reconciling.served import Server
from impressions.client import ImpressionsClient
from impressions.clock import Clock
from impressions.core.errors import UsageError
from impressions.settings.model import Settings
from impressions.terminal.console import progress


@dataclass(frozen=True)
class Round:
    """What came of a round.

    Attributes:
        profiles: how many were chosen.   skipped: those of them that could not be compared.
    """

    profiles: int
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def events(self) -> int:
        """How many events were named."""
        return sum(len(d.events) for one in self.findings for d in one.differences)


Choose = Callable[[LandedTable, Sequence[int]], Chosen]
"""(raw, shards of the server) -> profiles to compare."""


def run_round(
    settings: Settings,
    client: ImpressionsClient,
    clock: Clock,
    choose: Choose,
    since_ms: int | None = None,
) -> Round:
    """Compare what `choose` gives.

    Raises:
        NotReady: nothing was landed yet; no topic.
        ServiceError: the server, or the broker, does not answer.
        UsageError: a profile of a shard that the server does not own.
    """
    server = Server(client, settings)
    raw = read_table(settings, clock())
    parts = Parts(raw, topic_of(settings), server, settings.spec)
    chosen = choose(raw, server.shards)
    total = sum(len(run) for runs in chosen.values() for run in runs)
    done = Compared()
    with progress("profiles compared", total=total) as bar:
        for shard, runs in sorted(chosen.items()):
            if shard not in server.shards:
                raise UsageError(
                    f"profile {runs[0][0]}: its shard {shard} is none of the server's "
                    f"({', '.join(map(str, server.shards))})",
                    hint="--address of a host that owns the shard",
                    reason="shard_not_owned",
                )
            done += compare(parts, shard, runs, since_ms)
            bar.advance(sum(len(run) for run in runs))
    return Round(total, done.findings, done.skipped)
