"""A full server refuses at once, work stops at the deadline, and a flood leaves no trace."""

import os
import socket
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from impressions.client import CallFailed
from impressions.client.failures import failure_of
from impressions.v1 import impressions_service_pb2 as pb
from impressions.v1 import impressions_service_pb2_grpc
from serving.reads import Deltas
from tests.generations import CUTOVER_MS
from tests.serving.support import client_of, install, serving, settings_in, until


class Gate:
    """A slow live half: the deltas of a profile come when the gate is opened. Counts its calls."""

    def __init__(self):
        self.entered, self.opened = 0, threading.Event()

    def deltas_of(self, shard, profile_id, from_slot_ms):
        self.entered += 1
        assert self.opened.wait(30)
        return Deltas((), None)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.mark.alone
def test_a_full_server_refuses_at_once_and_its_health_answers(tmp_path, gate):
    """Three calls are allowed and held; the fourth is refused in far less than a second."""
    settings = settings_in(tmp_path, threads=2, max_concurrent=3)
    install(settings)
    with (
        serving(settings, deltas_of=gate.deltas_of) as server,
        client_of(server, retries=False) as client,
        grpc.insecure_channel(server.address) as channel,
    ):
        results: list = []
        calls = [
            threading.Thread(target=lambda p=p: results.append(client.get(p, at_ms=CUTOVER_MS)))
            for p in (1, 2, 3)
        ]
        for call in calls:
            call.start()
        until(lambda: gate.entered == 2, "two are computed, the third waits for a permit")
        refused = until(lambda: refusal(client), "the server is full")
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "overloaded")
        assert "3 calls" in refused.message
        assert refused.retry_after_s > 0
        started_s = time.perf_counter()
        for _ in range(20):
            assert refusal(client) is not None
        assert (time.perf_counter() - started_s) / 20 < 0.1
        check = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=5
        )
        assert check.status == health_pb2.HealthCheckResponse.SERVING
        assert gate.entered == 2
        gate.opened.set()
        for call in calls:
            call.join()
        assert sorted(result.profile_id for result in results) == [1, 2, 3]
        assert until(lambda: refusal(client) is None, "calls are admitted again")


def refusal(client) -> CallFailed | None:
    """The error of a short call, Describe; None if it is answered."""
    try:
        client.describe()
    except CallFailed as error:
        return error
    return None


def test_a_flood_is_refused_with_a_reason(tmp_path, gate):
    """Each of 200 calls at once, by the pool that is full; then calls are admitted again."""
    settings = settings_in(tmp_path, threads=1, max_concurrent=2)
    install(settings)
    with (
        serving(settings, deltas_of=gate.deltas_of) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        get = impressions_service_pb2_grpc.ImpressionsServiceStub(channel).GetProfile
        request = pb.GetProfileRequest(profile_id=1, query_time_ms=CUTOVER_MS)
        held = [get.future(request) for _ in range(2)]
        until(lambda: gate.entered == 1, "one is computed, the other waits for a permit")
        until(lambda: "2 calls" in get.future(request).exception().details(), "a reason is given")
        refused = [call.exception() for call in [get.future(request) for _ in range(200)]]
        assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert all("2 calls" in error.details() for error in refused)
        gate.opened.set()
        assert [call.result() is not None for call in held] == [True, True]
        assert until(lambda: get.future(request).exception() is None, "calls are admitted again")


def test_a_call_above_the_queue_of_the_server_has_its_own_hint(tmp_path, gate):
    """gRPC's queue of new calls is short, and it cancels the calls of a burst that do not fit. A
    caller that closes its own channel gets CANCELLED too, without that hint."""
    settings = settings_in(tmp_path)
    install(settings)
    gate.opened.set()
    with serving(settings, deltas_of=gate.deltas_of) as server:
        with grpc.insecure_channel(server.address) as channel:
            get = impressions_service_pb2_grpc.ImpressionsServiceStub(channel).GetProfile
            request = pb.GetProfileRequest(profile_id=1, query_time_ms=CUTOVER_MS)

            def cancelled():
                errors = [call.exception() for call in [get.future(request) for _ in range(3_000)]]
                return next((e for e in errors if e and e.code().name == "CANCELLED"), None)

            by_server = until(cancelled, "a burst that is too long for the queue")
            gate.opened.clear()
            own = get.future(request)
        gate.opened.set()
        assert "queue" in failure_of(by_server, "x").hint
        own_failure = failure_of(own.exception(), "x")
        assert (own_failure.code, own_failure.hint) == ("CANCELLED", None)


def test_open_streams_take_no_capacity_from_calls(tmp_path):
    """As many idle streams as are allowed; one more is refused, single calls are answered."""
    settings = settings_in(tmp_path, threads=1, max_concurrent=2)
    install(settings)
    with serving(settings) as server, client_of(server) as client:
        hold = threading.Event()

        def ids():
            yield 1
            hold.wait(30)

        streams = [client.stream(ids(), at_ms=CUTOVER_MS) for _ in range(2)]
        for stream in streams:
            assert next(stream).profile_id == 1
        with pytest.raises(CallFailed) as caught:
            next(client.stream(ids(), at_ms=CUTOVER_MS))
        assert caught.value.reason == "overloaded"
        assert client.get(2, at_ms=CUTOVER_MS).profile_id == 2
        hold.set()


@pytest.mark.alone
def test_a_deadline_is_kept_and_work_stops_between_keys(tmp_path):
    """A batch of 40 slow keys, 0.3 s for all: far fewer than 40 are read."""
    reads: list[int] = []

    def slow(shard, profile_id, from_slot_ms):
        reads.append(profile_id)
        time.sleep(0.05)
        return Deltas((), None)

    settings = settings_in(tmp_path)
    install(settings)
    with serving(settings, deltas_of=slow) as server:
        with client_of(server, timeout_s=0.3, retries=False) as client:
            client.describe()
            client._max_batch = 256
            started_s = time.perf_counter()
            with pytest.raises(CallFailed) as caught:
                client.get_many(range(40), at_ms=CUTOVER_MS)
            assert caught.value.code == "DEADLINE_EXCEEDED"
            assert time.perf_counter() - started_s < 1.5
        seen = -1
        while seen != len(reads):  # until no further read is seen
            seen = len(reads)
            threading.Event().wait(0.2)
    assert 0 < len(reads) < 20


def test_a_call_whose_deadline_passed_while_it_waited_is_never_computed(tmp_path, gate):
    """One thread, held; the second call gives up in the queue."""
    settings = settings_in(tmp_path, threads=1)
    install(settings)
    with (
        serving(settings, deltas_of=gate.deltas_of) as server,
        client_of(server) as patient,
        client_of(server, timeout_s=0.2) as hasty,
    ):
        first = threading.Thread(target=lambda: patient.get(1, at_ms=CUTOVER_MS))
        first.start()
        until(lambda: gate.entered == 1, "the first is computed")
        with pytest.raises(CallFailed) as caught:
            hasty.get(2, at_ms=CUTOVER_MS)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        gate.opened.set()
        first.join()
        assert patient.get(3, at_ms=CUTOVER_MS).profile_id == 3
    assert gate.entered == 2  # profiles 1 and 3


def test_cancelled_calls_free_their_capacity(tmp_path, gate):
    """Far more cancelled calls than may be held."""
    settings = settings_in(tmp_path, threads=1, max_concurrent=4)
    install(settings)
    request = pb.GetProfileRequest(profile_id=1, query_time_ms=CUTOVER_MS).SerializeToString()
    with (
        serving(settings, deltas_of=gate.deltas_of) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        raw = channel.unary_unary("/impressions.v1.ImpressionsService/GetProfile")
        cancelled = 0
        for _ in range(100):
            call = raw.future(request, timeout=30)
            cancelled += call.cancel()
        assert cancelled > 50
        gate.opened.set()
        with client_of(server) as client:
            # Cancelled calls that the server has not seen yet are counted for a moment.
            until(lambda: not any(refusal(client) for _ in range(20)), "calls are admitted again")
            assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1


def test_junk_on_the_port_and_idle_connections_hurt_nobody(client, server):
    """Random bytes on some sockets, nothing at all on 200 others."""
    host, _, port = server.address.rpartition(":")
    sockets = [socket.create_connection((host, int(port)), timeout=10) for _ in range(210)]
    try:
        for junk in sockets[:10]:
            junk.sendall(os.urandom(512))
        for profile in range(1, 21):
            assert client.get(profile, at_ms=CUTOVER_MS).profile_id == profile
    finally:
        for connection in sockets:
            connection.close()
