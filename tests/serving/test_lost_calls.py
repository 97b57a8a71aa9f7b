"""Calls that no thread took are counted all the same, though no handler saw them."""

import grpc
import pytest

from impressions.v1 import impressions_service_pb2 as pb
from serving import front, grpc_server
from serving.lost_calls import LostCalls
from tests.generations import CUTOVER_MS
from tests.serving.support import client_of, install, metric, serving, settings_in, until

GET = "/impressions.v1.ImpressionsService/GetProfile"
REQUEST = pb.GetProfileRequest(profile_id=1, query_time_ms=CUTOVER_MS).SerializeToString()
LOST = "impressions_lost_calls_total"


def test_calls_that_grpc_cancels_are_counted(tmp_path, monkeypatch):
    """Its queue holds 4 while the front stands still: of 60 calls it cancels most. None of those
    that were taken counts: answered or refused by the front, and those of grpcio's handlers."""
    monkeypatch.setattr(grpc_server, "QUEUED_CALLS", 4)
    monkeypatch.setattr(grpc_server, "MOST_QUEUED_CALLS", 8)
    settings = settings_in(tmp_path, front="loop", compiled=False)
    install(settings)
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        with client_of(server) as client:
            client.describe()
            client.get_many([1, 2], at_ms=CUTOVER_MS)
        read = channel.unary_unary(GET)
        assert read(REQUEST, timeout=30)
        with pytest.raises(grpc.RpcError):
            read(b"\xff", timeout=30)
        assert metric(server, LOST) == 0
        with server._front._open:  # it cannot ask for the next call
            burst = [read.future(REQUEST, timeout=30) for _ in range(60)]
            until(lambda: any(call.done() for call in burst), "the queue is full")
        codes = [call.code() for call in burst]
        cancelled = codes.count(grpc.StatusCode.CANCELLED)
        assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}
        assert cancelled > 0
        until(lambda: metric(server, LOST) == cancelled, "they are counted")
        assert read(REQUEST, timeout=30)
        for _ in range(3):
            assert metric(server, LOST) == cancelled


def test_a_number_that_grpc_does_not_know_ends_nothing(tmp_path, monkeypatch):
    """Of a server that has stopped; the front goes on, and does not ask again and again."""
    settings = settings_in(tmp_path, front="loop", compiled=False)
    install(settings)
    asked = []

    def unknown(server):
        asked.append(server)
        raise ValueError("no such server")

    monkeypatch.setattr(front, "_calls_begun", unknown)
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        assert metric(server, LOST) == 0
        until(lambda: asked, "the front has looked")
        until(lambda: not server._front._lost.asked, "it has given up")
        assert channel.unary_unary(GET)(REQUEST, timeout=30)
        assert not server.failed


def test_a_call_between_two_steps_of_grpc_is_not_lost():
    """It has begun at the first look, and is taken before the second."""
    lost = LostCalls()
    lost.taken = 10
    lost.nothing_waits(13)
    lost.taken = 11
    lost.nothing_waits(13)
    assert lost.total == 2
    lost.nothing_waits(13)
    lost.nothing_waits(13)
    assert lost.total == 2


def test_without_a_moment_at_which_none_waits_the_count_stays():
    """A server that is never idle answers /metrics all the same."""
    lost = LostCalls()
    lost.nothing_waits(3)
    lost.nothing_waits(3)
    assert lost.count() == 3
    assert lost.asked
