"""Messages in pieces are, byte for byte, what protobuf would have written."""

import numpy as np
import pytest

from impressions.core.answer import Answer
from impressions.core.completeness import Incomplete
from impressions.v1 import impressions_service_pb2 as pb
from serving import frames
from serving.messages import answer_frame, context_bytes
from serving.service import failed_result, in_stream, result_frame
from tests.serving.support import CUTOVER_MS

CONTEXT = context_bytes("2026-11-15", CUTOVER_MS, CUTOVER_MS, None, [Incomplete.STREAM_BEHIND])


def answer(n):
    """An answer of n rows with every column there is."""
    values = np.arange(n) / 7
    return Answer(
        title_ids=np.arange(n, dtype=np.int64),
        locations=np.arange(n, dtype=np.int64),
        matched=n + 3,
        last_seen_ms=np.full(n, CUTOVER_MS, np.int64),
        totals={"impressions": values},
        decayed={("plays", 7): values * 2, ("dwell_s", 365): values * 3},
        ema_rates={("plays", 30): values * 4},
        plays_per_impression={1: values * 5},
    )


def public(profile_id, n):
    """The same by protobuf alone."""
    values = (np.arange(n) / 7).tolist()
    times = lambda k: [k * value for value in values]  # noqa: E731
    return pb.ProfileAnswer(
        profile_id=profile_id,
        context=pb.AnswerContext.FromString(CONTEXT),
        matched_rows=n + 3,
        title_ids=range(n),
        locations=range(n),
        last_seen_ms=[CUTOVER_MS] * n,
        totals=[pb.TotalColumn(measure="impressions", values=values)],
        decayed=[
            pb.DecayedColumn(measure="plays", half_life_days=7, values=times(2)),
            pb.DecayedColumn(measure="dwell_s", half_life_days=365, values=times(3)),
        ],
        ema_rates=[pb.DecayedColumn(measure="plays", half_life_days=30, values=times(4))],
        plays_per_impression=[pb.RatioColumn(half_life_days=1, values=times(5))],
    )


@pytest.mark.parametrize("n", [1, 16, 1_500])
@pytest.mark.parametrize("profile_id", [0, 1, 127, 128, 2**63 - 1])
def test_an_answer_is_what_protobuf_writes(profile_id, n):
    """Lengths of one, two and three bytes; ids that proto3 leaves out, and the largest."""
    frame = answer_frame(profile_id, answer(n), CONTEXT)
    data = frames.joined([frame])
    assert data == public(profile_id, n).SerializeToString(deterministic=True)
    assert frame.size == len(data)


def test_an_answer_without_rows_says_the_same():
    """Protobuf leaves empty columns out; a reader sees no difference."""
    data = frames.joined([answer_frame(5, answer(0), CONTEXT)])
    assert pb.ProfileAnswer.FromString(data) == public(5, 0)


def test_a_stream_response_holds_its_request_and_result():
    """With an answer, and with a status instead."""
    request = pb.StreamProfilesRequest(request_id=300, profile_id=7)
    built = in_stream(request, result_frame(7, answer_frame(7, answer(2), CONTEXT)))
    expected = pb.StreamProfilesResponse(
        request_id=300, result=pb.ProfileResult(profile_id=7, answer=public(7, 2))
    )
    assert built == expected.SerializeToString(deterministic=True)
    failed = in_stream(request, frames.of(failed_result(7, ValueError("defect"))))
    assert pb.StreamProfilesResponse.FromString(failed).result.status.code


@pytest.mark.parametrize("value", [1, 127, 128, 16_383, 16_384, 2**32 - 1, 2**63 - 1, -1])
def test_integers_are_what_protobuf_writes(value):
    """Negative ones as ten bytes."""
    assert frames.integer(1, value) == pb.ProfileAnswer(profile_id=value).SerializeToString()
