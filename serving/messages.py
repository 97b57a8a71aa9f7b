"""Answers to response messages: names, enums and columns, no arithmetic.

In: `Answer` (numpy columns) and its context. Out: messages in pieces (serving/frames.py), whose
bytes are those of the public messages: a packed repeated field of fixed width is tag, length and
the little-endian values, so the memory of an array is the value of such a field.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from impressions.core.answer import Answer
from impressions.core.completeness import Incomplete
from impressions.core.spec import Spec
from impressions.v1 import impressions_service_pb2 as pb
from serving import frames
from serving.frames import Frame

_VALUES = {
    reason: pb.IncompleteReason.Value(f"INCOMPLETE_REASON_{reason.name}") for reason in Incomplete
}

_ANSWER = {name: field.number for name, field in pb.ProfileAnswer.DESCRIPTOR.fields_by_name.items()}
_COLUMNS: dict[str, Any] = {
    "totals": pb.TotalColumn,
    "decayed": pb.DecayedColumn,
    "ema_rates": pb.DecayedColumn,
    "plays_per_impression": pb.RatioColumn,
}


def reason_value(reason: Incomplete) -> Any:
    """The protobuf enum value of a reason of the core; the names are the same."""
    return _VALUES[reason]


def context_bytes(
    generation_id: str,
    cutover_ms: int,
    query_ms: int,
    stream_through_ms: int | None,
    reasons: Sequence[Incomplete],
) -> bytes:
    """The bytes of the `AnswerContext` of an answer at `query_ms`."""
    return pb.AnswerContext(
        generation_id=generation_id,
        cutover_ms=cutover_ms,
        stream_through_ms=stream_through_ms,
        query_time_ms=query_ms,
        complete=not reasons,
        reasons=[reason_value(reason) for reason in reasons],
    ).SerializeToString()


def answer_frame(profile_id: int, answer: Answer, context: bytes) -> Frame:
    """A `ProfileAnswer`; its columns are the answer's own arrays."""
    pieces: list[Any] = [
        frames.integer(_ANSWER["profile_id"], profile_id),
        frames.head(_ANSWER["context"], len(context)),
        context,
        frames.integer(_ANSWER["matched_rows"], answer.matched),
    ]
    n = 8 * len(answer.title_ids)
    columns: list[tuple[bytes, NDArray[Any]]] = [
        (frames.head(_ANSWER["title_ids"], n), answer.title_ids)
    ]
    if answer.locations is not None:
        head = frames.head(_ANSWER["locations"], 4 * len(answer.locations))
        columns.append((head, answer.locations.astype("<u4")))
    if answer.last_seen_ms is not None:
        head = frames.head(_ANSWER["last_seen_ms"], 8 * len(answer.last_seen_ms))
        columns.append((head, answer.last_seen_ms))
    for measure, values in answer.totals.items():
        columns.append((_head("totals", measure, 0, n), values))
    for name, sums in (("decayed", answer.decayed), ("ema_rates", answer.ema_rates)):
        for (measure, days), values in sums.items():
            columns.append((_head(name, measure, days, n), values))
    for days, values in answer.plays_per_impression.items():
        columns.append((_head("plays_per_impression", "", days, n), values))
    size = sum(map(len, pieces))
    for head, values in columns:
        pieces += (head, values)
        size += len(head) + values.nbytes
    return Frame(size, pieces)


@lru_cache(4096)
def _head(field: str, measure: str, half_life_days: int, size: int) -> bytes:
    """The bytes before the values of a column: its field, its names, its lengths."""
    kind = _COLUMNS[field]
    known = kind.DESCRIPTOR.fields_by_name
    names = {"measure": measure, "half_life_days": half_life_days}
    named: bytes = kind(**{k: v for k, v in names.items() if k in known}).SerializeToString()
    inner = named + frames.head(known["values"].number, size)
    return frames.head(_ANSWER[field], len(inner) + size) + inner


def spec_message(spec: Spec) -> pb.Spec:
    return pb.Spec(
        fingerprint=spec.fingerprint,
        measures=spec.measure_names,
        half_lives_days=spec.half_lives_days,
        window_days=spec.window_days,
        tail_days=spec.tail_days,
        slot_ms=spec.slot_ms,
    )
