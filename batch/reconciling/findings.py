"""What is wrong with a profile, as people and programs read it: each difference with its events.

Difference   an item whose answer is not what its events make, and the events behind it; or
             events that raw lacks or has twice, though the answer is right
NamedEvent   an event, where it came from, and which layer has it, lacks it or has it twice
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from batch.reconciling.events import DWELL_S, PLAYED
from batch.reconciling.explaining import Candidates, Change, Unknown, explain, possible, unknown
from batch.reconciling.judging import ItemDifference, Judged, Served
from batch.reconciling.ownership import LAYERS, NOBODY, STREAM
from impressions.core.item import location_of, title_of
from impressions.core.slot import format_utc
from impressions.core.spec import Spec

HAS, LACKS, TWICE, UNCLEAR = "has", "lacks", "twice", "unclear"
NOT_ASKED, NOT_LANDED, NOT_ITS_OWN = "not asked", "not landed", "not its own"
NOT_COUNTED = "does not count it"
_CANDIDATES_MOST = 100


@dataclass(frozen=True)
class NamedEvent:
    """An event behind a difference.

    Attributes:
        layers: topic, raw, generation, stream -> one of the words above.
        why: why it must not count, if so: a duplicate, outside the window, or nobody's.
    """

    source: str
    partition: int
    offset: int
    log_index: int
    log_id: int | None
    event_time: str
    ingest_time: str
    title: int
    location: int
    played: bool
    dwell_s: float
    layers: Mapping[str, str]
    why: str = ""


@dataclass(frozen=True)
class Difference:
    """Of one (title, location), or of raw alone.

    Attributes:
        expected, found: by column, those that differ; empty where only raw is wrong.
        events: that explain it; several ways if `ways` > 1, then those of all ways.
        unique: whether these events, and no others, explain it.
        text: the same as a sentence.
    """

    title: int | None
    location: int | None
    expected: Mapping[str, float]
    found: Mapping[str, float]
    events: tuple[NamedEvent, ...]
    ways: int
    text: str

    @property
    def unique(self) -> bool:
        return self.ways == 1


@dataclass(frozen=True)
class Finding:
    """One profile that differs.

    Attributes:
        reasons: why the answer calls itself incomplete.
        error: why the host cannot read the profile, if so; then nothing was compared.
    """

    profile_id: int
    shard: int
    generation: str
    query_time: str
    reasons: tuple[str, ...]
    differences: tuple[Difference, ...] = field(default=())
    error: str = ""


@dataclass(frozen=True)
class Skipped:
    """A profile that could not be compared, and why: a file of raw that cannot be read, or more
    events than fit into memory."""

    profile_id: int
    reason: str
    message: str


def finding_of_error(served: Served, shard: int) -> Finding:
    """Of a profile that the host has and cannot read."""
    return Finding(served.profile_id, shard, "", "", (), (), served.error)


def finding_of(judged: Judged, served: Served, shard: int, spec: Spec) -> Finding | None:
    """None where nothing differs."""
    found = [_difference(one, judged, served, shard, spec) for one in judged.differences]
    named = {_key(event) for one in found for event in one.events}
    found += _of_raw(judged, shard, named)
    if not found:
        return None
    return Finding(
        served.profile_id, shard, served.generation, format_utc(served.query_ms), served.reasons,
        tuple(found),
    )  # fmt: skip


def _difference(
    one: ItemDifference, judged: Judged, served: Served, shard: int, spec: Spec
) -> Difference:
    which = np.flatnonzero(judged.events.item == one.item)
    of = judged.owned
    candidates = Candidates(
        judged.vectors[which], of.layer[which], of.counts[which], judged.events.in_raw[which] > 1
    )
    ways = _without_originals(explain(one.found - one.expected, one.tolerance, candidates), which,
                              judged)  # fmt: skip
    named: dict[int, str] = {}
    for change in ways:
        named |= dict.fromkeys((int(which[i]) for i in change.lacks), LACKS)
        named |= {int(which[i]): _too_much(judged, int(which[i])) for i in change.surplus}
    nobodys = None
    if not ways:
        nobodys = unknown(one.found - one.expected, one.tolerance, served.query_ms, spec)
    if not ways and nobodys is None:
        may = which[possible(one.found - one.expected, one.tolerance, candidates)]
        named = dict.fromkeys((may if len(may) else which)[-_CANDIDATES_MOST:].tolist(), UNCLEAR)
    events = tuple(name_event(judged, i, shard, word) for i, word in sorted(named.items()))
    item: Any = np.int64(one.item)
    differs = np.flatnonzero(abs(one.found - one.expected) > one.tolerance)
    columns = columns_of(spec)
    return Difference(
        int(title_of(item)), int(location_of(item)),
        {columns[i]: float(one.expected[i]) for i in differs},
        {columns[i]: float(one.found[i]) for i in differs},
        events, len(ways), _text(events, len(ways), nobodys),
    )  # fmt: skip


def _without_originals(ways: list[Change], which: Any, judged: Judged) -> list[Change]:
    """A duplicate that counts looks like its original counted twice: the duplicate is meant."""
    counts = judged.owned.counts[which]
    uncounted = [w for w in ways if w.surplus and not any(counts[i] for i in w.surplus)]
    if not uncounted:
        return ways
    return [w for w in ways if w in uncounted or not w.surplus]


def _too_much(judged: Judged, i: int) -> str:
    return TWICE if judged.owned.counts[i] else HAS


def _of_raw(judged: Judged, shard: int, named: set[tuple[Any, ...]]) -> Iterable[Difference]:
    """Events that raw lacks or has twice, and that no difference of the answer names."""
    copies = judged.events.in_raw
    wrong = np.flatnonzero((copies == 0) | (copies > 1)).tolist()
    counts = judged.owned.counts
    events = [name_event(judged, i, shard, HAS if counts[i] else NOT_COUNTED) for i in wrong]
    if rest := tuple(event for event in events if _key(event) not in named):
        yield Difference(None, None, {}, {}, rest, 1, _text(rest, 1, None))


def name_event(judged: Judged, i: int, shard: int, word: str) -> NamedEvent:
    """The event at a position; `word`: what the layer that it belongs to does with it."""
    events, of = judged.events, judged.owned
    owner, in_raw, in_topic = int(of.layer[i]), int(events.in_raw[i]), int(events.in_topic[i])
    layers = {
        "topic": NOT_ASKED if in_topic < 0 else HAS if in_topic else LACKS,
        "raw": NOT_LANDED if in_raw < 0 else TWICE if in_raw > 1 else HAS if in_raw else LACKS,
        "generation": NOT_ITS_OWN,
        "stream": NOT_ITS_OWN,
    }
    layers[LAYERS[STREAM if owner == NOBODY else owner]] = word
    log_id = int(events.log_id[i])
    return NamedEvent(
        source=str(events.source[i]), partition=shard, offset=int(events.log_offset[i]),
        log_index=int(events.log_index[i]), log_id=None if log_id < 0 else log_id,
        event_time=format_utc(int(events.event_ms[i])),
        ingest_time=format_utc(int(events.ingest_ms[i])),
        title=int(title_of(events.item[i])), location=int(location_of(events.item[i])),
        played=bool(events.x[PLAYED, i]), dwell_s=float(events.x[DWELL_S, i]), layers=layers,
        why=_why_not(judged, i),
    )  # fmt: skip


def _why_not(judged: Judged, i: int) -> str:
    """Why the event at a position must not count; "" where it must."""
    of = judged.owned
    if of.counts[i]:
        return ""
    if of.duplicate[i]:
        return "duplicate"
    return "file behind the cutover" if of.layer[i] == NOBODY else "outside the window"


def _key(event: NamedEvent) -> tuple[Any, ...]:
    return (
        event.source, event.offset, event.log_index, event.title, event.location, event.event_time,
        event.dwell_s,
    )  # fmt: skip


def columns_of(spec: Spec) -> tuple[str, ...]:
    """The names of the C columns: `plays`, then `plays/7d`."""
    sums = (f"{m}/{h}d" for m in spec.measure_names for h in spec.half_lives_days)
    return (*spec.measure_names, *sums)


def _text(events: tuple[NamedEvent, ...], ways: int, nobodys: Unknown | None) -> str:
    if nobodys is not None:
        return (
            "it holds an event that neither raw nor the topic has: seen at "
            f"{format_utc(nobodys.event_ms)} (within {nobodys.within_ms / 1000:.0f} s), "
            f"{'played' if nobodys.played else 'not played'}, {nobodys.dwell_s:.6g} s in view"
        )
    if not ways:
        return (
            "neither a few events nor events that follow each other explain it: listed are the "
            f"{len(events)} of the item, the newest at most, that may be among them"
        )
    said = "; ".join(dict.fromkeys(_verdict(event) for event in events))
    return said if ways == 1 else f"{ways} ways explain it, so not all of these: {said}"


def _verdict(event: NamedEvent) -> str:
    """What is wrong about an event, in words."""
    wrong = [f"{layer} lacks it" for layer, word in event.layers.items() if word == LACKS]
    wrong += [f"{layer} has it twice" for layer, word in event.layers.items() if word == TWICE]
    if event.why and HAS in (event.layers["generation"], event.layers["stream"]):
        layer = "generation" if event.layers["generation"] == HAS else "stream"
        wrong.append(f"{layer} counts it though it must not ({event.why})")
    return ", ".join(wrong) or "as it should be"
