"""A flush: what some records of one partition lead to, before anything of it is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from impressions.compiled.blocks import Outcome
from impressions.core.decay import Int
from impressions.core.event import Reason
from impressions.formats.heartbeat import Heartbeat
from impressions.kafka.dead_letters import DeadLetter
from impressions.kafka.decoded_batch import DecodedBatch

Pair = tuple[bytes, bytes]
"""(key, value) of a record of the delta topic."""


@dataclass(frozen=True)
class Flush:
    """What to publish, and what to write after that.

    Attributes:
        done: the changed blocks.
        encoded: they as records of the delta topic.
        heartbeat: published after the blocks: it says that they are there.
        dead_letters: of the records; made while they are taken, once.
        counts: impressions applied, duplicate, replayed, rejected, read.
        rejected: the rejected by reason.
    """

    done: Outcome
    encoded: list[Pair]
    heartbeat: Heartbeat
    dead_letters: Iterator[DeadLetter]
    counts: dict[str, int]
    rejected: dict[str, int]


def rejected_by_reason(batch: DecodedBatch) -> dict[str, int]:
    """How many impressions of a batch must not count, by the reason's label."""
    codes: Int = np.bincount(batch.reason[batch.reason != Reason.OK], minlength=1)
    counts = {Reason(code).label: int(n) for code, n in enumerate(codes) if n}
    for reason, n in Counter(bad.reason.label for bad in batch.unreadable).items():
        counts[reason] = counts.get(reason, 0) + n
    return counts
