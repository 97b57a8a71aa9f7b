"""How the front ends: calls under way when the server stops, calls that never begin, and a thread
that ends too early."""

import gc
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from impressions.core.errors import ServiceError
from impressions.process import lifetime
from impressions.v1 import impressions_service_pb2 as pb
from serving import front
from serving.server_process import run
from serving.wiring import create_server
from tests.generations import CUTOVER_MS
from tests.serving.support import install, metric, serving, settings_in, until

GET = "/impressions.v1.ImpressionsService/GetProfile"
BATCH = "/impressions.v1.ImpressionsService/BatchGetProfiles"
DESCRIBE = "/impressions.v1.ImpressionsService/Describe"
REQUEST = pb.GetProfileRequest(profile_id=1, query_time_ms=CUTOVER_MS).SerializeToString()
MANY = pb.BatchGetProfilesRequest(profile_ids=[1, 2], query_time_ms=CUTOVER_MS).SerializeToString()


def test_a_call_that_came_before_the_server_stops_is_answered(tmp_path):
    """One is computed, and another has come, when the server is asked to stop."""
    settings = settings_in(tmp_path, front="loop", compiled=False, grace_s=30)
    install(settings)
    server = create_server(settings)
    server.start()
    entered, opened = threading.Event(), threading.Event()

    def held(data):
        entered.set()
        assert opened.wait(30)

    server._front._methods[0].at_once = held
    stopping = threading.Thread(target=server.stop, args=(0,))
    with grpc.insecure_channel(server.address) as channel:
        read = channel.unary_unary(GET)
        calls = [read.future(REQUEST)]
        assert entered.wait(30)
        calls.append(read.future(REQUEST))
        assert channel.unary_unary(DESCRIBE)(b"", timeout=30), "which came after that one"
        stopping.start()
        stage = server._server._state
        until(lambda: stage.stage.name == "GRACE", "the server stops")
        assert not server.idle
        opened.set()
        assert [len(call.result(30)) > 0 for call in calls] == [True, True]
    stopping.join()


@pytest.mark.parametrize("method", [GET, BATCH])
@pytest.mark.parametrize("broken", [("_answer",), ("_answer", "end")])
def test_a_call_that_cannot_be_answered_ends_with_an_error(tmp_path, monkeypatch, method, broken):
    """On the thread of the front and in its pool; even where no status can be sent any more."""
    settings = settings_in(tmp_path, front="loop", grace_s=30)
    install(settings)
    data, tried = REQUEST if method == GET else MANY, []
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        for name in broken:

            def fail(*_, name=name):
                tried.append(name)
                raise RuntimeError("a defect")

            monkeypatch.setattr(front.Call, name, fail)
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(method)(data, timeout=30)
        assert (caught.value.code(), tried) == (grpc.StatusCode.INTERNAL, list(broken))
        counted = {"method": method.rpartition("/")[2], "code": "INTERNAL"}
        assert metric(server, "impressions_requests_total", **counted) == 1
        monkeypatch.undo()
        until(lambda: server.idle and not server._limits.unread._bytes, "nothing is held")
        assert channel.unary_unary(GET)(REQUEST, timeout=30)


def test_calls_without_a_message_are_limited(tmp_path, monkeypatch):
    """They hold no place in the pool: above the limit they are refused, and it is given back."""
    monkeypatch.setattr(front, "_MOST_WAITING", 3)
    settings = settings_in(tmp_path, front="loop", compiled=False)
    install(settings)
    never = threading.Event()

    def silent():
        never.wait(30)
        yield from ()

    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        begin = channel.stream_unary(GET)
        begun = [begin.future(silent()) for _ in range(3)]
        until(lambda: server._front.waiting == 3, "they have come")
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(GET)(REQUEST, timeout=30)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "whose message has not come" in caught.value.details()
        for call in begun:
            call.cancel()
        until(lambda: server._front.idle, "they have ended")
        assert server._front.waiting == 0
        assert channel.unary_unary(GET)(REQUEST, timeout=30)
        never.set()


def test_a_front_whose_thread_has_ended_is_not_healthy(tmp_path, monkeypatch):
    """It would be alive and deaf: health is red, and the server can still be stopped."""
    settings = settings_in(tmp_path, front="loop", compiled=False)
    install(settings)
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        serves = health_pb2.HealthCheckResponse.SERVING
        assert check(health_pb2.HealthCheckRequest()).status == serves

        def broken(method):
            raise MemoryError("no next call")

        monkeypatch.setattr(server._front, "_next", broken)
        call = channel.unary_unary(GET).future(REQUEST)
        until(lambda: check(health_pb2.HealthCheckRequest()).status != serves, "health turns red")
        assert server.failed
        call.cancel()


def test_a_connection_has_the_same_name_on_both_ways(tmp_path):
    """Its unread answers are one sum, whoever takes the call."""
    settings = settings_in(tmp_path, front="loop", compiled=False)
    install(settings)
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        unread, peers = server._limits.unread, []
        check = unread.check
        unread.check = lambda peer: (peers.append(peer), check(peer))
        for method, request in ((GET, REQUEST), (DESCRIBE, b"")):
            assert channel.unary_unary(method)(request, timeout=30)
    assert len(peers) == 2
    assert peers[0] == peers[1]


def test_what_a_start_has_loaded_is_never_walked_through_again(tmp_path):
    """The collector of cycles stops every thread while it walks: it rests during the start, with
    what is loaded right after the server answers, and then looks at what is made from then on."""
    settings = settings_in(tmp_path, compiled=False, metrics_listen="127.0.0.1:0")
    stopping, was_on = threading.Event(), []

    def ready(_):
        was_on.append(gc.isenabled())
        stopping.set()

    before = gc.get_freeze_count()
    lifetime.starting()
    run(settings, stopping, ready)
    assert was_on == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() > before
    gc.unfreeze()


def test_a_process_whose_front_has_ended_ends_with_an_error(tmp_path):
    """So that whoever runs it starts it again."""
    settings = settings_in(tmp_path, front="loop", compiled=False, metrics_listen="127.0.0.1:0")
    stopping = threading.Event()

    def break_it(server):
        def broken(method):
            raise MemoryError("no next call")

        server._front._next = broken
        with grpc.insecure_channel(server.address) as channel:
            call = channel.unary_unary(GET).future(REQUEST)
            assert stopping.wait(30)
            call.cancel()

    with pytest.raises(ServiceError, match="thread that answers calls has ended"):
        run(settings, stopping, break_it)
