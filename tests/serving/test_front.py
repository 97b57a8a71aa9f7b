"""Both fronts answer alike: the one thread with its own queue, and grpcio's own handlers.

The same bytes, codes, texts and trailing metadata for any request; what the pool is for; how it
ends. The other tests of this folder run on either front (tests/serving/test_both_fronts.py).
"""

import contextlib
import random
import threading

import grpc
import pytest

from impressions.client import CallFailed
from impressions.deltas.store import open_primary, store_dir
from impressions.v1 import impressions_service_pb2 as pb
from serving import cold_reads, front, wiring
from serving.cold_reads import ColdReads
from serving.reads import Deltas
from tests.faults.size import scaled
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS
from tests.serving.support import client_of, install, metric, serving, settings_in, until
from tests.serving.test_compiled_answers import projection, query_ms
from tests.unit.test_compiled import mutated

SERVICE = "/impressions.v1.ImpressionsService/"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A channel to each front, on the same generation, at the same time."""
    settings = settings_in(tmp_path_factory.mktemp("both"), max_batch=16, max_titles=50)
    install(settings)
    with contextlib.ExitStack() as stack:
        channels = []
        for name in ("loop", "grpc"):
            chosen = settings.serving.model_copy(update={"front": name})
            running = settings.model_copy(update={"serving": chosen})
            server = stack.enter_context(serving(running, clock=FixedClock(CUTOVER_MS + 1)))
            assert (server._front is not None) == (name == "loop")
            channels.append(stack.enter_context(grpc.insecure_channel(server.address)))
        yield channels


def outcome(channel, method, data, **options):
    """Bytes, or code, text and trailing metadata."""
    try:
        return channel.unary_unary(SERVICE + method)(data, timeout=30, **options)
    except grpc.RpcError as error:
        return error.code(), error.details(), tuple(error.trailing_metadata())


@pytest.mark.parametrize("method", ["GetProfile", "BatchGetProfiles"])
@pytest.mark.parametrize("seed", range(scaled(2, 50)))
def test_any_request_gets_the_same_from_both(both, seed, method):
    """Right ones, and those with flipped, cut and grown bytes."""
    rng, answered, refused = random.Random(seed), 0, 0
    for _ in range(300):
        shared = {"projection": projection(rng), "query_time_ms": query_ms(rng)}
        ids = [rng.choice([*range(1, 21), 10**9]) for _ in range(rng.randrange(1, 6))]
        if method == "GetProfile":
            request = pb.GetProfileRequest(profile_id=ids[0], **shared)
        else:
            request = pb.BatchGetProfilesRequest(profile_ids=ids, **shared)
        data = request.SerializeToString()
        if rng.random() < 0.4:
            data = mutated(data, rng)
        ours, plain = (outcome(channel, method, data) for channel in both)
        assert ours == plain, f"seed {seed}: {data.hex()}"
        answered += isinstance(ours, bytes)
        refused += not isinstance(ours, bytes)
    assert answered > 100, f"seed {seed}"
    assert refused > 30, f"seed {seed}"


def test_calls_of_a_server_are_counted_by_method_and_code(tmp_path):
    """On the thread of the front, in its pool, and refused."""
    settings = settings_in(tmp_path, front="loop")
    install(settings)
    with serving(settings) as server, client_of(server, retries=False) as client:
        client.get(1, at_ms=CUTOVER_MS)
        client.get_many([1, 2], at_ms=CUTOVER_MS)
        with pytest.raises(CallFailed):
            client.get(1, at_ms=CUTOVER_MS - 1)

        def counted(method, code):
            return metric(server, "impressions_requests_total", method=method, code=code)

        assert counted("GetProfile", "OK") == 1
        assert counted("BatchGetProfiles", "OK") == 1
        assert counted("GetProfile", "INVALID_ARGUMENT") == 1
        assert metric(server, "impressions_merge_seconds_count") == 3
        assert metric(server, "impressions_store_get_seconds_count") == 3


def test_a_read_does_not_wait_behind_batches(tmp_path):
    """Every thread of the pool stands still in a batch; a single read is answered."""
    settings = settings_in(tmp_path, front="loop", threads=2, max_concurrent=4)
    install(settings)
    request = pb.BatchGetProfilesRequest(profile_ids=[1, 2], query_time_ms=CUTOVER_MS)
    data = request.SerializeToString()
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        of_batches, entered, opened = server._front._methods[1], [], threading.Event()
        respond = of_batches.respond

        def held(data, caller):
            entered.append(caller)
            assert opened.wait(30)
            return respond(data, caller)

        of_batches.respond = held
        batches = [channel.unary_unary(SERVICE + "BatchGetProfiles").future(data) for _ in range(4)]
        until(lambda: len(entered) == 4, "the pool is full")
        read = pb.GetProfileRequest(profile_id=1, query_time_ms=CUTOVER_MS).SerializeToString()
        assert isinstance(outcome(channel, "GetProfile", read), bytes)
        code, text, metadata = outcome(channel, "BatchGetProfiles", data)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "4 calls" in text
        assert b"RetryInfo" in dict(metadata)["grpc-status-details-bin"]
        opened.set()
        assert {len(batch.result()) > 0 for batch in batches} == {True}


def test_a_read_during_a_catch_up_goes_to_the_pool(tmp_path):
    """The copy of the deltas stands still in the middle of one; the front takes calls all the
    same, and the pool answers when it has ended."""
    settings = settings_in(tmp_path, front="loop", deltas="on", catch_up_s=0.01)
    install(settings)
    open_primary(store_dir(settings)).close()
    read = pb.GetProfileRequest(profile_id=1, query_time_ms=CUTOVER_MS).SerializeToString()
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        store = until(lambda: server.live._view, "the copy is open").store
        catch_up, entered, opened = store.catch_up, threading.Event(), threading.Event()

        def held():
            entered.set()
            assert opened.wait(30)
            catch_up()

        store.catch_up = held
        assert entered.wait(30)
        calls = [channel.unary_unary(SERVICE + "GetProfile").future(read) for _ in range(2)]
        until(lambda: server._limits.calls._held == 2, "the front has taken both")
        opened.set()
        assert [len(call.result(30)) > 0 for call in calls] == [True, True]


def test_a_caller_that_is_gone_is_known_in_the_pool(tmp_path):
    """A batch of many slow profiles is cancelled: the rest of them is not read."""
    settings = settings_in(tmp_path, front="loop")
    install(settings)
    reads, cancelled = [], threading.Event()

    def slow(shard, profile_id, from_slot_ms):
        reads.append(profile_id)
        if len(reads) == 2:
            assert cancelled.wait(30)
            until(lambda: not calls[0].is_active(), "the server knows of it")
        return Deltas((), None)

    calls = []
    with serving(settings, deltas_of=slow) as server:
        of_batches = server._front._methods[1]
        respond = of_batches.respond
        of_batches.respond = lambda data, caller: (calls.append(caller), respond(data, caller))[1]
        with grpc.insecure_channel(server.address) as channel:
            request = pb.BatchGetProfilesRequest(profile_ids=range(40), query_time_ms=CUTOVER_MS)
            call = channel.unary_unary(SERVICE + "BatchGetProfiles").future(
                request.SerializeToString()
            )
            until(lambda: len(reads) == 2, "the batch is computed")
            call.cancel()
            cancelled.set()
            code = {"method": "BatchGetProfiles", "code": "CANCELLED"}
            until(lambda: metric(server, "impressions_requests_total", **code), "it ends")
    assert len(reads) == 2


def test_answers_that_are_not_read_are_counted_and_then_released(tmp_path):
    """By connection, until each is read, on the thread of the front and in the pool."""
    settings = settings_in(tmp_path, front="loop")
    install(settings)
    with serving(settings) as server, client_of(server) as client:
        unread, sizes = server._limits.unread, []
        add = unread.add
        unread.add = lambda peer, size: (sizes.append(size), add(peer, size))
        client.get(1, at_ms=CUTOVER_MS)
        client.get_many([1, 2], at_ms=CUTOVER_MS)
        until(lambda: not unread._bytes, "all were read")
        assert len(sizes) == 6, "a client asks Describe before its first batch"
        assert sum(sizes) == 0
        unread._limit_bytes = 0
        with client_of(server, retries=False) as hasty, pytest.raises(CallFailed) as caught:
            hasty.get(1, at_ms=CUTOVER_MS)
        assert caught.value.reason == "overloaded"
        assert "wait on this connection" in caught.value.message


def test_a_defect_of_compiled_code_ends_no_call(tmp_path):
    """The pool tries again, and says INTERNAL; the thread goes on."""
    settings = settings_in(tmp_path, front="loop")
    install(settings)
    with serving(settings) as server, client_of(server, retries=False) as client:
        of_reads = server._front._methods[0]
        at_once = of_reads.at_once

        def broken(data):
            raise ZeroDivisionError("a defect")

        of_reads.at_once = broken
        assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1
        of_reads.at_once = at_once
        assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1


@pytest.mark.parametrize(
    "private", ["CompletionQueue", "SendMessageOperation", "Server", "ReceiveMessageOperation"]
)
def test_another_grpcio_is_served_by_its_own_handlers(tmp_path, monkeypatch, private):
    """A name that is gone is found before a server is made; answers stay the same."""
    assert front.missing() is None

    class Renamed:
        """Every private name but one."""

        def __getattr__(self, name):
            if name == private:
                raise AttributeError(name)
            return getattr(known, name)

    known = front.cygrpc
    monkeypatch.setattr(front, "cygrpc", Renamed())
    assert front.missing()
    served_without_front(tmp_path)


def test_an_unknown_version_of_grpcio_is_served_by_its_own_handlers(tmp_path, monkeypatch):
    """Names that are the same may mean something else."""
    monkeypatch.setattr(front, "VERSIONS", ("0.1.",))
    assert front.missing() == f"grpcio {grpc.__version__}, expected 0.1.x"
    served_without_front(tmp_path)


def served_without_front(tmp_path):
    settings = settings_in(tmp_path, front="loop")
    install(settings)
    with serving(settings) as server, client_of(server) as client:
        assert server._front is None
        assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1
        assert client.get_many([1, 2], at_ms=CUTOVER_MS)[1].profile_id == 2


def test_reads_that_wait_for_the_disk_go_to_the_pool(monkeypatch):
    """A slow read of which the kernel says that it read the disk; a second later, no more. So do
    large requests."""
    seconds, blocks = [100.0], [0]
    monkeypatch.setattr(cold_reads, "monotonic_s", lambda: seconds[0])
    monkeypatch.setattr(
        cold_reads.resource, "getrusage", lambda _: type("Usage", (), {"ru_inblock": blocks[0]})
    )
    cold, asked = ColdReads(), []
    at_once = wiring._if_soon(lambda data: asked.append(data) or data, cold)
    cold.took(0.5)
    assert (cold.now, at_once(b"1")) == (False, b"1"), "slow, but it read no disk"
    blocks[0] = 8
    cold.took(1e-5)
    assert not cold.now, "quick"
    cold.took(0.5)
    assert (cold.now, at_once(b"2")) == (True, None)
    seconds[0] += 1.1
    assert (cold.now, at_once(b"3")) == (False, b"3")
    assert at_once(bytes(65_537)) is None, "large, whether cold or not"
    assert asked == [b"1", b"3"]
