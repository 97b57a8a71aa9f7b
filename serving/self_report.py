"""What this server would say of itself if it were asked now: shard by shard, both halves.

One function from what is served, the live stream and the clock, for `Describe`, health and metrics
alike. Answers themselves say it of the very state they were read from (serving/service.py), by the
same rule.
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
class Shard:
    """One shard: the state of its stream, if one is configured, and why answers are flagged."""

    stream: StreamState | None
    reasons: tuple[Incomplete, ...]


@dataclass(frozen=True)
class Now:
    """A host at a moment.

    Attributes:
        at_ms: the moment.
        generation: what is served; None before the first.
        shards: by number, those that this host is to answer for, also where it cannot.
    """

    at_ms: int
    generation: ServedGeneration | None
    shards: dict[int, Shard]

    @property
    def answered(self) -> tuple[int, ...]:
        """Those whose profiles are not refused as another host's."""
        return tuple(self.shards) if self.generation is None else self.generation.shards

    @property
    def reasons(self) -> tuple[Incomplete, ...]:
        """Why an answer is flagged, of any shard, in the order of the contract."""
        found = {reason for shard in self.shards.values() for reason in shard.reasons}
        return tuple(reason for reason in Incomplete if reason in found)

    @property
    def stream_through_ms(self) -> int | None:
        """What the streams of all shards are complete through; None if one is not known."""
        times = [shard.stream.through_ms for shard in self.shards.values() if shard.stream]
        known = [time for time in times if time is not None]
        return min(known) if known and len(known) == len(self.shards) else None

    @property
    def is_fresh(self) -> bool:
        """Whether the live half of every shard is whole and near the clock."""
        return all(reason in _STATIC for reason in self.reasons)


def reasons(
    query_ms: int,
    generation: ServedGeneration | None,
    stream: StreamState | None,
    now_ms: int,
    settings: Settings,
) -> tuple[Incomplete, ...]:
    """Why an answer from this generation and this stream is not complete; () if it is."""
    cutover_ms = None if generation is None else generation.cutover_ms
    found = completeness.reasons(query_ms, cutover_ms, settings.spec)
    if stream is None:
        return found
    if generation is not None:  # what files brought until then, the stream never saw
        since_ms = max(stream.since_ms, generation.manifest.history_until_ms)
        stream = replace(stream, since_ms=since_ms)
    max_lag_ms = round(1000 * settings.serving.max_stream_lag_s)
    return found + completeness.stream_reasons(stream, cutover_ms, now_ms, max_lag_ms)


def look(
    settings: Settings,
    generation: ServedGeneration | None,
    stream_of: StreamOf | None,
    now_ms: int,
) -> Now:
    """The host as it is; a shard whose state cannot be read is one of which nothing is known, and
    one that the generation was loaded without has none."""
    shards = {}
    for number in settings.host_shards:
        stream = None if stream_of is None else _state(stream_of, number)
        of = generation if generation is not None and number in generation.shards else None
        shards[number] = Shard(stream, reasons(now_ms, of, stream, now_ms, settings))
    return Now(now_ms, generation, shards)


def _state(stream_of: StreamOf, shard: int) -> StreamState:
    try:
        return stream_of(shard)
    except ImpressionsError:
        return StreamState(None, 0, restoring=False)
