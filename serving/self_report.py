"""The self-report of a server: which generation it serves, and which answers would be flagged, why.

`self_report` computes it from the served generation, the live stream and the clock, shard by shard;
`Describe`, health and metrics all use it. An answer is flagged by the same rule
(`incomplete_reasons`), for the state it was read from (serving/service.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from impressions.core import completeness
from impressions.core.completeness import Incomplete, StreamState
from impressions.core.errors import ImpressionsError
from impressions.settings.model import Settings
from serving.served_generation import ServedGeneration

StreamOf = Callable[[int], StreamState]
_STATIC = (Incomplete.NO_GENERATION, Incomplete.PAST_TAIL_HORIZON)


@dataclass(frozen=True)
class ShardReport:
    """One shard: the state of its stream, if one is configured, and why answers are flagged."""

    stream: StreamState | None
    reasons: tuple[Incomplete, ...]


@dataclass(frozen=True)
class SelfReport:
    """A server at a moment.

    Attributes:
        at_ms: the moment.
        generation: the served one; None before the first.
        shards: by number, all shards of this host, also those that it cannot answer for yet.
    """

    at_ms: int
    generation: ServedGeneration | None
    shards: dict[int, ShardReport]

    @property
    def answered(self) -> tuple[int, ...]:
        """The shards whose profiles are answered; profiles of others are refused."""
        return tuple(self.shards) if self.generation is None else self.generation.shards

    @property
    def reasons(self) -> tuple[Incomplete, ...]:
        """All reasons of all shards, in the order of `Incomplete`."""
        present = {reason for shard in self.shards.values() for reason in shard.reasons}
        return tuple(reason for reason in Incomplete if reason in present)

    @property
    def stream_through_ms(self) -> int | None:
        """The time that the streams of all shards are complete through; None if one is unknown."""
        times = [shard.stream.through_ms for shard in self.shards.values() if shard.stream]
        known = [time for time in times if time is not None]
        return min(known) if known and len(known) == len(self.shards) else None

    @property
    def is_fresh(self) -> bool:
        """Whether the stream of every shard is complete and its lag is below the limit."""
        return all(reason in _STATIC for reason in self.reasons)


def incomplete_reasons(
    query_ms: int,
    generation: ServedGeneration | None,
    stream: StreamState | None,
    now_ms: int,
    settings: Settings,
) -> tuple[Incomplete, ...]:
    """Why an answer from this generation and this stream is not complete; () if it is."""
    cutover_ms = None if generation is None else generation.cutover_ms
    reasons = completeness.reasons(query_ms, cutover_ms, settings.spec)
    if stream is None:
        return reasons
    if generation is not None:  # imported files hold events that the stream never had
        since_ms = max(stream.since_ms, generation.manifest.history_until_ms)
        stream = replace(stream, since_ms=since_ms)
    return reasons + completeness.stream_reasons(stream, cutover_ms, now_ms, max_lag_ms(settings))


def max_lag_ms(settings: Settings) -> int:
    """How far the stream may lie behind the clock."""
    return round(1000 * settings.serving.max_stream_lag_s)


def self_report(
    settings: Settings,
    generation: ServedGeneration | None,
    stream_of: StreamOf | None,
    now_ms: int,
) -> SelfReport:
    """The report at `now_ms`.

    A stream state that cannot be read counts as unknown. A shard that is not in the generation is
    reported as without a generation.
    """
    shards = {}
    for number in settings.host_shards:
        stream = None if stream_of is None else _state(stream_of, number)
        of = generation if generation is not None and number in generation.shards else None
        reasons = incomplete_reasons(now_ms, of, stream, now_ms, settings)
        shards[number] = ShardReport(stream, reasons)
    return SelfReport(now_ms, generation, shards)


def _state(stream_of: StreamOf, shard: int) -> StreamState:
    try:
        return stream_of(shard)
    except ImpressionsError:
        return StreamState(None, 0, restoring=False)
