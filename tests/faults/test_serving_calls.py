"""Callers that leave, that send invalid bytes, that never read: other callers do not notice."""

import gc
import os
import resource
import socket
import threading
from collections import Counter

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.v1 import impressions_service_pb2 as pb
from serving.reads import Deltas
from tests.faults.flood import Connection, Plan
from tests.faults.served import EXHAUSTED, GET, HealthWatch, host_with, request, rss_mb, server_of
from tests.faults.size import scaled
from tests.generations import CUTOVER_MS
from tests.serving.process import Process, end
from tests.serving.support import client_of, install, serving, settings_in, until

SERVICE = "/impressions.v1.ImpressionsService/"
GOOD = pb.GetProfileRequest(profile_id=1, query_time_ms=CUTOVER_MS).SerializeToString()


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    made = settings_in(tmp_path_factory.mktemp("calls"), max_batch=16, max_titles=20)
    install(made)
    return made


@pytest.fixture(scope="module")
def server(host):
    with serving(host) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.address) as opened:
        yield opened


def code_of(channel, method: str, data: bytes) -> str:
    try:
        channel.unary_unary(SERVICE + method)(data, timeout=20)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


# ---- callers that leave ----


def test_a_thousand_callers_that_give_up_leave_nothing_behind(tmp_path):
    """20 ms for a store that takes 10 ms a key, 64 at a time: batches stop between keys, calls
    that wait are never computed, and threads, permits and descriptors are as before."""
    reads = []

    def slow(shard, profile_id, from_slot_ms):
        reads.append(profile_id)
        threading.Event().wait(0.01)
        return Deltas((), None)

    made = settings_in(tmp_path, threads=2, max_concurrent=64)
    install(made)
    calls, keys = 1_000, 20
    batch = pb.BatchGetProfilesRequest(profile_ids=range(keys), query_time_ms=CUTOVER_MS)
    with serving(made, deltas_of=slow) as server, client_of(server) as client:
        client.get(1, at_ms=CUTOVER_MS)
        with grpc.insecure_channel(server.address) as channel:
            raw = channel.unary_unary(SERVICE + "BatchGetProfiles")
            codes = Counter()
            for _ in range(calls // 50):
                made_now = [raw.future(batch.SerializeToString(), timeout=0.02) for _ in range(50)]
                for call in made_now[:10]:
                    call.cancel()
                codes.update(call.code().name for call in made_now)
        assert codes["DEADLINE_EXCEEDED"] > calls / 10
        assert codes["CANCELLED"] > 0
        assert set(codes) <= {"DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED"}
        until(lambda: server.idle, "no call is held")
        assert 0 < len(reads) < calls * keys / 10, "the work stopped"
        value = server.metrics.registry.get_sample_value
        counted = sum(
            value("impressions_requests_total", {"method": "BatchGetProfiles", "code": code}) or 0
            for code in ("DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED")
        )
        assert counted > 0, "the server counted callers that had left"
        assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1
        gc.collect()
        assert len(server._streams._open) == 0
        assert threading.active_count() < 64 + 40


# ---- callers that send rubbish ----

ALLOWED = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"}


@settings(max_examples=scaled(150, 5_000), deadline=None)
@given(st.sampled_from(["GetProfile", "BatchGetProfiles", "Describe"]), st.binary(max_size=400))
def test_any_bytes_are_answered_or_the_callers_fault(channel, method, data):
    """And the next good call works."""
    assert code_of(channel, method, data) in ALLOWED
    assert code_of(channel, "GetProfile", GOOD) == "OK"


BATCHES = {
    "no keys": ([], "INVALID_ARGUMENT"),
    "too many keys": (range(17), "INVALID_ARGUMENT"),
    "one key sixteen times": ([3] * 16, "OK"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_of(channel, name):
    """None, more than the limit, the same one again: each key of a batch gets its own answer."""
    keys, code = BATCHES[name]
    message = pb.BatchGetProfilesRequest(profile_ids=keys, query_time_ms=CUTOVER_MS)
    assert code_of(channel, "BatchGetProfiles", message.SerializeToString()) == code


def test_four_megabytes_and_a_method_that_is_not_there(channel):
    """Refused unread, and unknown."""
    assert code_of(channel, "GetProfile", bytes(4 << 20)) == "RESOURCE_EXHAUSTED"
    assert code_of(channel, "DropEverything", GOOD) == "UNIMPLEMENTED"
    assert code_of(channel, "GetProfile", b"\x12\x05\x1a\x03\xff\xfe\xfd") == "INVALID_ARGUMENT"
    assert code_of(channel, "GetProfile", GOOD) == "OK"


def test_a_token_is_in_no_line_of_the_log(host, tmp_path):
    """At debug level, with the right token, a wrong one and none."""
    (tmp_path / "tokens").write_text("a-right-secret\n")
    flags = ("--listen", "127.0.0.1:0", "--set", f"serving.token_file={tmp_path / 'tokens'}")
    process = Process(host, tmp_path, *flags)
    try:
        with grpc.insecure_channel(process.address) as channel:
            raw = channel.unary_unary(GET)
            raw(GOOD, timeout=20, metadata=[("authorization", "Bearer a-right-secret")])
            for wrong in ([("authorization", "Bearer a-wrong-secret")], []):
                with pytest.raises(grpc.RpcError) as caught:
                    raw(GOOD, timeout=20, metadata=wrong)
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    finally:
        end(process)
    assert " call " in process.log, "calls are logged"
    assert "secret" not in process.log


# ---- callers that never read ----


@pytest.mark.alone
def test_readers_that_do_not_read_and_idle_connections_are_bounded(tmp_path):
    """500 connections that send nothing, and two that ask for 100 MB each and read none of it: they
    are refused at 32 MB, others are answered, and the descriptors are free again."""
    made = host_with(tmp_path)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2_000, hard), hard))
    with server_of(made, tmp_path) as process, HealthWatch(process.address) as health:
        pid = process.popen.pid
        before_mb, before_files = rss_mb(pid), descriptors(pid)
        host, _, port = process.address.rpartition(":")
        idle = [socket.create_connection((host, int(port)), timeout=20) for _ in range(500)]
        deaf = [DeafCaller(process.address) for _ in range(2)]
        until(lambda: descriptors(pid) >= before_files + 500, "the connections are there")
        for caller in deaf:
            caller.ask(500)
            assert caller.refused > 250, "what is not read is refused from some size on"
        with grpc.insecure_channel(process.address) as channel:
            for _ in range(50):
                assert channel.unary_unary(GET)(bytes.fromhex(request(1)), timeout=20)
        assert health.is_green()
        held_mb = rss_mb(pid) - before_mb
        print(f"\n{sum(c.refused for c in deaf)} refused; {held_mb:.0f} MB held for 2 deaf callers")
        assert held_mb < 350
        for connection in [*idle, *(caller.socket for caller in deaf)]:
            connection.close()
        until(lambda: descriptors(pid) < before_files + 20, "the descriptors are back")
        assert process.stop() == 0


class DeafCaller(Connection):
    """Asks for full profiles, and reads no byte of an answer; refusals are no answers."""

    def __init__(self, address: str):
        super().__init__(Plan(address, GET, [], 0, timeout_ms=60_000), window=0)
        self.refused = 0

    def ask(self, calls: int) -> None:
        """One call after the other, so that only the limit of unread answers is reached."""
        for number in range(calls):
            self.call(bytes.fromhex(request(1 + number % 40, 0)), 0.0)
            self.flush()
            taken = [status for _, status in self.ended()]
            self.refused += taken.count(EXHAUSTED)
            threading.Event().wait(0.001)
        until(lambda: self._drain() or self.refused > calls / 2, "refusals")

    def _drain(self) -> None:
        self.flush()
        self.refused += [status for _, status in self.ended()].count(EXHAUSTED)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
