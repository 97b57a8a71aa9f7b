"""Answers to response messages: names, enums and columns, no arithmetic.

In: `Answer` (numpy columns) and what it was made from. Out: the twin messages of
serving/columns_wire.py, whose bytes are those of the public messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from impressions.answer import Answer
from impressions.completeness import Incomplete
from impressions.spec import Spec
from impressions.v1 import impressions_service_pb2 as pb
from serving import columns_wire as twins
from serving.columns_wire import double_column, int64_column, uint32_column

_VALUES = {
    reason: pb.IncompleteReason.Value(f"INCOMPLETE_REASON_{reason.name}") for reason in Incomplete
}


def reason_value(reason: Incomplete) -> Any:
    """The wire's value of a reason of the core; the names are the same."""
    return _VALUES[reason]


def context_message(
    generation_id: str,
    cutover_ms: int,
    query_ms: int,
    stream_through_ms: int | None,
    reasons: Sequence[Incomplete],
) -> Any:
    """What an answer at `query_ms` says about itself."""
    return twins.AnswerContext(
        generation_id=generation_id,
        cutover_ms=cutover_ms,
        stream_through_ms=stream_through_ms,
        query_time_ms=query_ms,
        complete=not reasons,
        reasons=[reason_value(reason) for reason in reasons],
    )


def write_answer(to: Any, profile_id: int, answer: Answer, context: Any) -> None:
    """Fill an empty `ProfileAnswer`."""
    to.profile_id = profile_id
    to.context.CopyFrom(context)
    to.matched_rows = answer.matched
    to.title_ids = int64_column(answer.title_ids)
    if answer.locations is not None:
        to.locations = uint32_column(answer.locations)
    if answer.last_seen_ms is not None:
        to.last_seen_ms = int64_column(answer.last_seen_ms)
    for measure, values in answer.totals.items():
        to.totals.add(measure=measure, values=double_column(values))
    for columns, sums in ((to.decayed, answer.decayed), (to.ema_rates, answer.ema_rates)):
        for (measure, days), values in sums.items():
            columns.add(measure=measure, half_life_days=days, values=double_column(values))
    for days, values in answer.plays_per_impression.items():
        to.plays_per_impression.add(half_life_days=days, values=double_column(values))


def spec_message(spec: Spec) -> pb.Spec:
    return pb.Spec(
        fingerprint=spec.fingerprint,
        measures=spec.measure_names,
        half_lives_days=spec.half_lives_days,
        window_days=spec.window_days,
        tail_days=spec.tail_days,
        slot_ms=spec.slot_ms,
    )
