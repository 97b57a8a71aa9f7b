"""Which events must be in an answer, and which layer answers for each. Pure.

    generation   ingested before the cutover
    stream       ingested since, and it came through the topic
    nobody       a file brought it from behind the cutover: no answer has it until the next one

Duplicates are decided as each layer decides them: the batch lane among everything in raw, the
stream among what came through the topic (docs/formats.md, "Duplicates").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batch.closing.duplicates import Earlier, Flushes, repeated
from batch.reconciling.events import Events
from impressions.core import window
from impressions.core.decay import Int
from impressions.core.spec import DAY_MS, Spec

GENERATION, STREAM, NOBODY = 0, 1, 2
LAYERS = ("generation", "stream", "nobody")

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Owned:
    """Of n events of one profile, at a query time.

    Attributes:
        layer: (n,) of the three above.
        duplicate: (n,) its flush was seen before, by the layer that owns it.
        counts: (n,) it must be in the answer, or may be (`may`).
        may: (n,) it came after what the answer claims to hold: it may be in it already.
    """

    layer: Int
    duplicate: Flags
    counts: Flags
    may: Flags


def owned(events: Events, query_ms: int, cutover_ms: int, through_ms: int, spec: Spec) -> Owned:
    """Args: `through_ms`: the answer claims to hold every event ingested before it."""
    through_topic = events.from_topic
    before = events.ingest_ms < cutover_ms
    layer = np.where(before, GENERATION, np.where(through_topic, STREAM, NOBODY))
    duplicate = np.where(
        before, _repeated(events, np.ones(len(events), bool), spec),
        _repeated(events, through_topic, spec),
    )  # fmt: skip
    in_window = events.event_ms >= window.first_day(query_ms, spec) * DAY_MS
    counts = ~duplicate & in_window & (layer != NOBODY)
    may = counts & (layer == STREAM) & (events.ingest_ms >= through_ms)
    return Owned(layer, duplicate, counts, may)


def _repeated(events: Events, among: Flags, spec: Spec) -> Flags:
    """(n,) whether the flush of an event occurred before among some of them."""
    flags = np.zeros(len(events), bool)
    which = np.flatnonzero(among & (events.log_id >= 0))
    if len(which):
        of = events.take(which)
        ingest_us = of.ingest_ms * 1000
        slots = of.ingest_ms // spec.slot_ms
        flushes = Flushes(of.profile_id, of.log_id, slots, ingest_us, of.log_offset, of.log_index)
        none = np.empty(0, np.int64)
        flags[which] = repeated(flushes, Earlier(none, none, none))
    return flags
