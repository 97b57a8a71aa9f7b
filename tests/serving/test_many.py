"""Batches and streams: one result per key, in order; a bad key spoils only its own."""

import itertools

import grpc
import pytest

from impressions.client import CallFailed, response_messages
from impressions.v1 import impressions_service_pb2 as pb
from tests.generations import CUTOVER_MS


def test_a_batch_answers_in_the_order_of_the_request(client):
    """Repeated and unknown ids too, and each as if asked alone."""
    ids = [5, 3, 5, 999_999, 40, 1]
    results = client.get_many(ids, at_ms=CUTOVER_MS, totals=True)
    assert [result.profile_id for result in results] == ids
    for result in results:
        alone = client.get(result.profile_id, at_ms=CUTOVER_MS, totals=True)
        assert result.title_ids.tolist() == alone.title_ids.tolist()
        for pair, values in result.decayed.items():
            assert values.tolist() == alone.decayed[pair].tolist()


def test_a_bad_key_spoils_only_its_own_result(client):
    """The middle id is negative."""
    results = client.get_many([4, -7, 6], at_ms=CUTOVER_MS)
    assert [type(result).__name__ for result in results] == [
        "ProfileResult",
        "CallFailed",
        "ProfileResult",
    ]
    assert (results[1].code, results[1].reason) == ("INVALID_ARGUMENT", "invalid_field")
    assert "-7" in results[1].message


def test_the_client_splits_what_is_above_the_servers_limit(client):
    """This server takes 16 ids per call."""
    ids = list(range(1, 41))
    results = client.get_many(ids, at_ms=CUTOVER_MS)
    assert [result.profile_id for result in results] == ids
    assert client.get_many([], at_ms=CUTOVER_MS) == []


@pytest.mark.parametrize("count", [0, 17])
def test_a_batch_of_no_or_too_many_ids_is_refused_whole(client, count):
    request = pb.BatchGetProfilesRequest(profile_ids=range(count))
    with pytest.raises(CallFailed, match=f"{count} ids, expected 1..16") as caught:
        client._call(lambda stub: stub.batch, request)
    assert (caught.value.code, caught.value.fields) == ("INVALID_ARGUMENT", ("profile_ids",))


def test_a_stream_answers_each_request_in_order_and_survives_a_bad_one(client):
    """-1 is refused; the stream goes on to 3."""
    results = list(client.stream([2, -1, 3], at_ms=CUTOVER_MS))
    assert [getattr(result, "profile_id", None) for result in results] == [2, None, 3]
    assert (results[1].code, results[1].reason) == ("INVALID_ARGUMENT", "invalid_field")


def test_a_stream_stays_open_while_its_caller_thinks(client):
    """Each answer arrives before the next request is made."""
    asked: list[int] = []

    def one_by_one():
        for profile in (1, 2, 3):
            asked.append(profile)
            yield profile

    answers = client.stream(one_by_one(), at_ms=CUTOVER_MS)
    assert [result.profile_id for result in answers] == asked == [1, 2, 3]


def test_a_stream_returns_the_callers_request_ids(server):
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(
            "/impressions.v1.ImpressionsService/StreamProfiles",
            pb.StreamProfilesRequest.SerializeToString,
            response_messages.StreamProfilesResponse.FromString,
        )
        requests = (pb.StreamProfilesRequest(request_id=i, profile_id=1) for i in (70, 7, 70))
        assert [response.request_id for response in call(requests, timeout=10)] == [70, 7, 70]


def test_bytes_that_are_no_request_get_their_own_status_in_a_stream(server):
    """The first message is garbage, the second is answered."""
    good = pb.StreamProfilesRequest(request_id=2, profile_id=1).SerializeToString()
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream("/impressions.v1.ImpressionsService/StreamProfiles")
        raw = call(iter([b"\xff\xff\xff", good]), timeout=10)
        first, second = (pb.StreamProfilesResponse.FromString(data) for data in raw)
    assert (first.result.status.code, first.result.status.reason) == (3, "invalid_field")
    assert second.request_id == 2
    assert second.result.answer.profile_id == 1


def test_leaving_a_stream_early_ends_it(client):
    """The caller takes two of endlessly many."""
    answers = client.stream(itertools.repeat(1), at_ms=CUTOVER_MS)
    assert [r.profile_id for r in itertools.islice(answers, 2)] == [1, 1]
    answers.close()
    assert list(answers) == []
