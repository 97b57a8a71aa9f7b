"""Connections that do nothing: they are bounded, and the pointer is followed beside them."""

import contextlib
import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bulkload.rollback import rollback
from impressions.client import CallFailed, ImpressionsClient
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import generation_id
from impressions.process.descriptors import TooManyFiles
from impressions.v1 import impressions_service_pb2 as pb
from impressions.v1 import impressions_service_pb2_grpc as pb_grpc
from serving import connections
from serving.generation_switch import GenerationSwitch
from tests.generations import CUTOVER_MS
from tests.serving.process import Process, end
from tests.serving.support import client_of, install, serving, settings_in, until

OLD_MS, NEW_MS = CUTOVER_MS - 7 * DAY_MS, CUTOVER_MS
OLD, NEW = generation_id(OLD_MS), generation_id(NEW_MS)
DESCRIPTORS = 256


@contextlib.contextmanager
def idle(address, count):
    """So many connections that send nothing."""
    host, _, port = address.rpartition(":")
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection((host, int(port)), timeout=10))
        yield opened
    finally:
        for one in opened:
            one.close()


def two_generations(tmp_path, **serving_settings):
    """Settings of a host where NEW answers and OLD is its backup."""
    settings = settings_in(tmp_path, **serving_settings)
    install(settings, OLD_MS)
    install(settings, NEW_MS)
    return settings


def generation_of(client):
    return client.get(1, at_ms=NEW_MS).context.generation


def answered(client):
    """The same; None for a caller whose connection is not accepted yet."""
    with contextlib.suppress(CallFailed):
        return generation_of(client)
    return None


@pytest.mark.slow
def test_a_rollback_is_followed_and_answered_beside_a_thousand_idle_connections(tmp_path):
    """256 descriptors, 1,000 connections that send nothing: a caller that is connected sees the
    rollback, and a new one is let in once the idle ones are closed."""
    settings = two_generations(tmp_path)
    (tmp_path / "tokens").write_text("secret\n")
    sets = ("--listen", "127.0.0.1:0", "--set", f"serving.token_file={tmp_path / 'tokens'}")
    process = Process(settings, tmp_path, *sets, descriptors=DESCRIPTORS)
    options = {"timeout_s": 5, "channels": 1, "token": "secret"}

    try:
        with ImpressionsClient(process.address, **options) as early:
            assert generation_of(early) == NEW
            with (
                idle(process.address, 1_000),
                ImpressionsClient(process.address, **options) as late,
            ):
                taken = len(os.listdir(f"/proc/{process.popen.pid}/fd"))
                assert DESCRIPTORS / 2 < taken < DESCRIPTORS
                rollback(settings)
                until(lambda: generation_of(early) == OLD, "the rollback is followed")
                until(lambda: answered(late) == OLD, "a new caller is let in")
        assert "generation-kept" not in process.log
        assert process.stop() == 0
    finally:
        end(process)


def test_a_connection_without_a_call_is_closed_and_its_caller_comes_back(tmp_path):
    """Two may be open; the third is closed at once, and accepted after one was idle too long."""
    settings = settings_in(tmp_path, max_connections=2, max_idle_s=1)
    install(settings)
    request = pb.GetProfileRequest(profile_id=1, query_time_ms=NEW_MS)
    options = [("grpc.use_local_subchannel_pool", 1)]

    def code_of(channel):
        try:
            pb_grpc.ImpressionsServiceStub(channel).GetProfile(request, timeout=5)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    with contextlib.ExitStack() as stack, serving(settings) as server:
        channels = [
            stack.enter_context(grpc.insecure_channel(server.address, options)) for _ in range(3)
        ]
        assert [code_of(channel) for channel in channels] == ["OK", "OK", "UNAVAILABLE"]
        until(lambda: code_of(channels[2]) == "OK", "there is room")
        until(lambda: code_of(channels[0]) == "OK", "it comes back")


def test_connections_get_at_most_half_of_the_descriptors(tmp_path, monkeypatch):
    settings = settings_in(tmp_path, max_connections=500).serving
    for limit, most in ((4_096, 500), (200, 100)):
        monkeypatch.setattr(connections.descriptors, "limit", lambda n=limit: n)
        assert dict(connections.options(settings))["grpc.max_allowed_incoming_connections"] == most


def test_a_host_may_watch_health_so_many_times_and_others_still_may_ask(tmp_path, monkeypatch):
    """Three watchers over two connections; the fourth is accepted when one has ended."""
    monkeypatch.setattr(connections.Watchers.__init__, "__defaults__", (3,))
    settings = settings_in(tmp_path)
    install(settings)
    request = health_pb2.HealthCheckRequest()
    options = [("grpc.use_local_subchannel_pool", 1)]
    with (
        serving(settings) as server,
        grpc.insecure_channel(server.address, options) as one,
        grpc.insecure_channel(server.address, options) as other,
    ):
        stubs = [health_pb2_grpc.HealthStub(channel) for channel in (one, other, one, other)]
        watches = [stub.Watch(request, timeout=30) for stub in stubs[:3]]
        assert [next(watch).status for watch in watches] == [1, 1, 1]
        with pytest.raises(grpc.RpcError) as caught:
            next(stubs[3].Watch(request, timeout=30))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "3 watchers" in caught.value.details()
        assert stubs[3].Check(request, timeout=30).status == 1
        watches[0].cancel()

        def comes_in():
            with contextlib.suppress(grpc.RpcError):
                return next(stubs[3].Watch(request, timeout=30)).status == 1

        until(comes_in, "there is room for another")


def test_hosts_are_distinguished_whatever_their_port():
    assert connections.host_of("ipv4:10.0.0.7:41712") == "ipv4:10.0.0.7"
    assert connections.host_of("ipv6:%5B::1%5D:41712") == "ipv6:%5B::1%5D"


def test_a_swap_uses_the_reserved_descriptors(tmp_path):
    """All others are in use: the first attempt fails, the second has the reserved ones."""
    settings = two_generations(tmp_path)
    generations = GenerationSwitch(settings)
    generations.refresh()
    rollback(settings)
    tries, follow = [], generations._follow

    def short_of_files():
        tries.append(len(generations._spare._held))
        if tries[-1]:
            raise OSError(errno.EMFILE, "Too many open files")
        follow()

    generations._follow = short_of_files
    generations.refresh()
    assert generations.current.name == OLD
    assert tries[0] > 10
    assert tries[1:] == [0]
    generations.stop()


def test_without_a_descriptor_a_read_is_no_damage(tmp_path):
    """RocksDB's error in a read: UNAVAILABLE with a hint, and no corruption."""
    settings = settings_in(tmp_path)
    install(settings)
    with serving(settings) as server, client_of(server, retries=False) as client:

        def get(*_, **__):
            raise Exception(
                "IO error: While open a file for random read: x.sst: Too many open files"
            )

        server.generations.current._store.get = get
        failed, _ = client.get_many([1, 2], at_ms=NEW_MS)
        assert (failed.code, failed.reason) == ("UNAVAILABLE", TooManyFiles.reason)
        assert server.metrics.registry.get_sample_value("impressions_corruption_total") == 0


def test_idle_connections_to_the_metrics_are_closed(monkeypatch):
    from prometheus_client import CollectorRegistry

    from impressions.process import metrics

    monkeypatch.setattr(metrics, "_IDLE_S", 0.2)
    with (
        metrics.serve(CollectorRegistry(), "127.0.0.1:0") as address,
        idle(address, 20) as opened,
        ThreadPoolExecutor(20) as pool,
    ):
        assert list(pool.map(lambda one: one.recv(1), opened)) == [b""] * 20
