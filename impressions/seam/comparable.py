"""Whether two generations can be compared on a host, and at which query time.

Between the two cutovers the generation with the earlier one needs the stream. So a comparison wants
a copy of the deltas that holds every event of that time, and no event of that time that the stream
never saw (imported files). What is in the way is a `Skip`: a reason that is a stable word, and a
sentence with what was found.

    off                  host.seam_random and host.seam_active are 0
    nothing_active       there is no generation to compare with
    other_spec           the active one was made with another spec or number of partitions
    past_horizon         the cutovers are so far apart that one of them is never exact at a time
                         that the other can be asked for
    history_imported     files brought rows from behind the earlier cutover: the generation with the
                         later one has them, the other one and the stream never had
    no_copy              this host keeps no copy of the deltas
    copy_unreadable      it cannot be opened, or what it holds of a profile cannot be read
    old_unreadable       the same of the active generation
    old_lacks_shard      the active generation was loaded without a shard that this host owns now
    restoring            the copy is being filled
    copy_behind          it does not reach the later cutover yet
    out_of_time          host.seam_max_s have passed
    deltas_missing       it does not reach back to the earlier one, or holds nothing of the shard
"""

from __future__ import annotations

from dataclasses import dataclass

from impressions.core.completeness import StreamState
from impressions.core.errors import Refused
from impressions.core.slot import format_utc
from impressions.core.spec import Spec
from impressions.core.window import horizon_ms
from impressions.formats.manifest import Manifest, check_fits


@dataclass(frozen=True)
class Skip:
    """Why something was not compared.

    Attributes:
        shards: of which shards; () if of all.
    """

    reason: str
    detail: str
    shards: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" (shards {', '.join(map(str, self.shards))})" if self.shards else ""
        return f"{self.reason}{where}: {self.detail}"


@dataclass(frozen=True)
class Cut:
    """The two cutovers, whichever generation has which, and when both are asked."""

    first_ms: int
    last_ms: int
    query_ms: int


def cut_between(old: Manifest, new: Manifest, spec: Spec, now_ms: int) -> Cut | Skip:
    """What is between two generations, or why they cannot be compared.

    The query time is now where both answer exactly then; else the nearest time at which they do.
    """
    try:
        check_fits(old, spec, new.partitions)
    except Refused as error:
        return Skip("other_spec", error.message)
    first_ms, last_ms = sorted((old.cutover_ms, new.cutover_ms))
    exact_until_ms = horizon_ms(first_ms, spec)
    if last_ms >= exact_until_ms:
        return Skip(
            "past_horizon",
            f"the cutovers {format_utc(first_ms)} and {format_utc(last_ms)} are "
            f"{spec.tail_days} days apart or more",
        )
    until_ms = max(old.history_until_ms, new.history_until_ms)
    if until_ms > first_ms:
        return Skip(
            "history_imported",
            f"files brought rows ingested up to {format_utc(until_ms)}, later than the cutover "
            f"{format_utc(first_ms)}; no stream saw them",
        )
    return Cut(first_ms, last_ms, max(last_ms, min(now_ms, exact_until_ms - 1)))


def shard_skip(shard: int, stream: StreamState | None, cut: Cut) -> Skip | None:
    """Why the copy of the deltas cannot vouch for a shard between the cutovers; None if it can.

    Args:
        stream: what the copy holds of the shard; None if nothing is known.
    """
    if stream is not None and stream.restoring:
        return Skip("restoring", "the copy of the deltas is being filled", (shard,))
    if stream is None or stream.through_ms is None:
        return Skip("deltas_missing", "the copy of the deltas knows no heartbeat", (shard,))
    if stream.since_ms > cut.first_ms:
        return Skip(
            "deltas_missing",
            f"the copy of the deltas begins at {format_utc(stream.since_ms)}, expected "
            f"{format_utc(cut.first_ms)} or earlier",
            (shard,),
        )
    if stream.through_ms < cut.last_ms:
        return Skip(
            "copy_behind",
            f"the copy of the deltas reaches {format_utc(stream.through_ms)}, expected "
            f"{format_utc(cut.last_ms)}",
            (shard,),
        )
    return None
