"""Whether an answer is everything it says it is, and if not, why.

Reasons are words of the contract: the wire's enum, the metric's label and the table a person reads
use the same. An answer with a reason still holds correct sums of what it holds; it is never
silently partial.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from impressions.core.spec import Spec
from impressions.core.window import horizon_ms


class Incomplete(Enum):
    """Why an answer is not complete."""

    PAST_TAIL_HORIZON = "past_tail_horizon"
    """The query time is so far past the cutover that days have left the window unnoticed."""
    NO_GENERATION = "no_generation"
    """Nothing but the live stream answers, if there is one: whatever was before it is missing."""
    STREAM_BEHIND = "stream_behind"
    """The stream has not come as close to now as the server's bound wants it."""
    DELTAS_MISSING = "deltas_missing"
    """Part of what the stream saw since the cutover is not there, or was never seen."""
    RESTORING = "restoring"
    """The local copy of the deltas is still being filled."""


WORDS = {
    "past_tail_horizon": "past the tail horizon (28 days after the cutover): "
    "days that left the window are still counted; activate a newer generation",
    "no_generation": "no generation yet: only what the live stream holds is counted",
    "stream_behind": "the live stream is behind: the newest impressions are not counted yet",
    "deltas_missing": "part of what the live stream saw since the cutover is not on this host",
    "restoring": "this host still fills its copy of the live stream",
}
"""What each reason means, for people."""


@dataclass(frozen=True)
class StreamState:
    """What one host's copy of the deltas holds of one shard.

    Attributes:
        through_ms: every record ingested before this is in the copy; None where nothing is known.
        since_ms: records ingested before this are not in it (lost, or expired).
        restoring: the copy has not reached the end it saw when it was opened.
    """

    through_ms: int | None
    since_ms: int
    restoring: bool


def reasons(query_ms: int, cutover_ms: int | None, spec: Spec) -> tuple[Incomplete, ...]:
    """Why the stored half of an answer at `query_ms` is not complete; () if it is.

    Args:
        cutover_ms: of the generation that answers; None where there is none.
    """
    if cutover_ms is None:
        return (Incomplete.NO_GENERATION,)
    if query_ms >= horizon_ms(cutover_ms, spec):
        return (Incomplete.PAST_TAIL_HORIZON,)
    return ()


def stream_reasons(
    stream: StreamState, cutover_ms: int | None, now_ms: int, max_lag_ms: int
) -> tuple[Incomplete, ...]:
    """Why the live half of an answer is not complete; () if it is.

    Args:
        cutover_ms: of the generation that answers; None where only the stream does.
        now_ms: the wall clock, not the query time: the stream races the clock.
        max_lag_ms: how far `through_ms` may lie behind `now_ms`.
    """
    found = []
    if stream.restoring:
        found.append(Incomplete.RESTORING)
    elif stream.through_ms is None or (cutover_ms is not None and cutover_ms < stream.since_ms):
        found.append(Incomplete.DELTAS_MISSING)
    if is_behind(stream, now_ms, max_lag_ms):
        found.append(Incomplete.STREAM_BEHIND)
    return tuple(found)


def is_behind(stream: StreamState, now_ms: int, max_lag_ms: int) -> bool:
    """Whether the stream is further from the clock than it may be; a stream of the future means
    that clocks differ, and then nobody knows how far it is."""
    return stream.through_ms is not None and abs(now_ms - stream.through_ms) > max_lag_ms
