"""The twin messages are the public messages, byte for byte."""

import grpc
import numpy as np

from impressions.client import response_messages
from impressions.client.result import reason_words
from impressions.core.completeness import Incomplete
from impressions.v1 import impressions_service_pb2 as pb
from impressions.v1.impressions_service_pb2_grpc import ImpressionsServiceStub
from serving.messages import reason_value
from tests.generations import CUTOVER_MS

VALUES = [0.0, -1.5, 1e300, 5e-324]


def public_answer() -> pb.ProfileAnswer:
    answer = pb.ProfileAnswer(
        profile_id=2**63 - 1,
        matched_rows=4,
        title_ids=[0, 1, -1, 2**55 - 1],
        locations=[0, 255, 1, 2**32 - 1],
        last_seen_ms=[CUTOVER_MS, 0, 1, 2],
    )
    answer.context.generation_id = "2026-11-15"
    answer.decayed.add(measure="plays", half_life_days=7, values=VALUES)
    answer.totals.add(measure="plays", values=VALUES)
    answer.plays_per_impression.add(half_life_days=1, values=VALUES)
    return answer


def test_public_bytes_read_by_the_twin_are_the_arrays():
    twin = response_messages.ProfileAnswer.FromString(public_answer().SerializeToString())
    assert np.frombuffer(twin.title_ids, "<i8").tolist() == [0, 1, -1, 2**55 - 1]
    assert np.frombuffer(twin.locations, "<u4").tolist() == [0, 255, 1, 2**32 - 1]
    assert np.frombuffer(twin.last_seen_ms, "<i8").tolist() == [CUTOVER_MS, 0, 1, 2]
    assert np.frombuffer(twin.decayed[0].values, "<f8").tolist() == VALUES


def test_every_packed_fixed_width_column_of_the_contract_has_a_twin():
    """Whatever is added to the proto later is covered; nothing else changes its type."""
    changed = set()
    for name, message in pb.DESCRIPTOR.message_types_by_name.items():
        twin = response_messages.twin(name).DESCRIPTOR
        for field in message.fields:
            if twin.fields_by_name[field.name].type != field.type:
                assert field.is_repeated
                assert field.is_packed
                changed.add(f"{name}.{field.name}")
    assert changed == {
        "ProfileAnswer.title_ids",
        "ProfileAnswer.locations",
        "ProfileAnswer.last_seen_ms",
        "TotalColumn.values",
        "DecayedColumn.values",
        "RatioColumn.values",
    }


def test_a_served_answer_reads_the_same_through_the_public_classes(server, client):
    """What any other language sees: plain repeated numbers."""
    with grpc.insecure_channel(server.address) as channel:
        request = pb.GetProfileRequest(profile_id=3, query_time_ms=CUTOVER_MS)
        answer = ImpressionsServiceStub(channel).GetProfile(request, timeout=10).answer
    result = client.get(3, at_ms=CUTOVER_MS)
    assert list(answer.title_ids) == result.title_ids.tolist()
    assert {(c.measure, c.half_life_days): list(c.values) for c in answer.decayed} == {
        pair: values.tolist() for pair, values in result.decayed.items()
    }
    assert len(answer.decayed) == 15


def test_every_reason_of_the_core_has_a_value_and_a_word():
    for reason in Incomplete:
        assert reason_words([reason_value(reason)]) == (reason.value,)
    assert len(pb.IncompleteReason.keys()) == len(Incomplete) + 1
    assert reason_words([99]) == ("99",)
