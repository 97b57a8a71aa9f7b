"""Every refusal has its own code, names what was wrong, and leaks nothing of the server."""

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status

from impressions.client import CallFailed, Top
from impressions.client.result import reason_words
from impressions.core import errors
from impressions.core.shard import shard_of
from impressions.v1 import impressions_service_pb2 as pb
from serving import error_status, requests
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS
from tests.serving.support import client_of, install, metric, serving, settings_in, until

GET = "/impressions.v1.ImpressionsService/GetProfile"

# field that is refused -> (arguments of `client.get`, what the message must hold)
BAD_REQUESTS = {
    "profile_id": ({"profile_id": -1}, "-1, expected 0..2^63-1"),
    "query_time_ms": ({"at_ms": -5}, "-5, expected epoch milliseconds in 0.."),
    "projection.title_ids": ({"titles": range(21)}, "21 titles, expected at most 20"),
    "projection.title_ids[1]": ({"titles": [1, 2**55]}, f"{2**55}, expected 0..2^55-1"),
    "projection.locations[0]": ({"locations": [256]}, "256, expected 0..255"),
    "projection.measures": ({"measures": ["clicks"]}, "'clicks': expected one of impressions"),
    "projection.half_lives_days": ({"half_lives_days": [2]}, "of 2 days: expected one of 1, 7"),
    "projection.top_k.k": ({"top": Top(0, "plays", 7)}, "0, expected at least 1"),
    "projection.top_k.measure": ({"top": Top(1, "x", 7)}, "'x': expected one of"),
    "projection.top_k.half_life_days": ({"top": Top(1, "plays", 8)}, "of 8 days: expected"),
}


@pytest.mark.parametrize("field", BAD_REQUESTS)
def test_a_bad_field_is_named_with_found_and_expected(client, field):
    arguments, text = BAD_REQUESTS[field]
    with pytest.raises(CallFailed) as caught:
        client.get(**{"profile_id": 1, "at_ms": CUTOVER_MS, **arguments})
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.reason == "invalid_field"
    assert caught.value.fields == (field,)
    assert text in caught.value.message


def test_an_absent_profile_id_is_an_error_and_0_is_a_profile(client):
    with pytest.raises(CallFailed, match="absent, expected") as caught:
        client._call(lambda stub: stub.get, pb.GetProfileRequest(query_time_ms=CUTOVER_MS))
    assert caught.value.fields == ("profile_id",)
    assert client.get(0, at_ms=CUTOVER_MS).profile_id == 0


def test_an_unknown_grouping_is_refused(client):
    request = pb.GetProfileRequest(profile_id=1)
    request.projection.MergeFromString(b"\x28\x63")  # field 5, value 99
    with pytest.raises(CallFailed, match="99, expected one of GROUP_BY_UNSPECIFIED") as caught:
        client._call(lambda stub: stub.get, request)
    assert caught.value.fields == ("projection.group_by",)


def test_a_time_before_the_cutover_is_refused_with_both_times(client):
    with pytest.raises(CallFailed) as caught:
        client.get(1, at_ms=CUTOVER_MS - 1)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert (caught.value.reason, caught.value.fields) == (
        "query_before_cutover",
        ("query_time_ms",),
    )
    assert "2026-11-14T23:59:59.999Z" in caught.value.message
    assert "2026-11-15T00:00:00Z" in caught.value.message


def test_ids_that_fit_no_field_are_refused_before_they_are_sent(client):
    with pytest.raises(errors.UsageError, match="expected"):
        client.get(2**63)


def test_a_shard_of_another_host_is_refused_with_the_shards_of_this_one(tmp_path):
    """This host owns shards 0 to 2 of 8."""
    settings = settings_in(tmp_path, host={"shards": "0-2"})
    install(settings)
    ours = next(p for p in range(100) if shard_of(p, 8) == 1)
    theirs = next(p for p in range(100) if shard_of(p, 8) == 6)
    with serving(settings) as server, client_of(server) as client:
        assert client.get(ours, at_ms=CUTOVER_MS).profile_id == ours
        with pytest.raises(CallFailed, match="shard 6 is not served") as caught:
            client.get(theirs, at_ms=CUTOVER_MS)
        batch = client.get_many([ours, theirs], at_ms=CUTOVER_MS)
        assert list(client.describe().shards) == [0, 1, 2]
    assert (caught.value.code, caught.value.reason) == ("FAILED_PRECONDITION", "shard_not_owned")
    assert caught.value.metadata == {"shard": "6", "owned_shards": "0,1,2"}
    assert (batch[0].profile_id, batch[1].reason) == (ours, "shard_not_owned")


def test_without_a_generation_calls_are_asked_to_try_again_until_there_is_one(tmp_path):
    """The server was started first; it picks the generation up by itself."""
    settings = settings_in(tmp_path)
    with serving(settings) as server, client_of(server, retries=False) as client:
        with pytest.raises(CallFailed, match="no generation is loaded") as caught:
            client.get(1)
        assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "no_generation")
        assert caught.value.retry_after_s > 0
        assert "bulkload activate" in caught.value.hint
        described = client.describe()
        assert not described.HasField("generation")
        assert (described.complete, reason_words(described.reasons)) == (False, ("no_generation",))
        assert metric(server, "impressions_incomplete", reason="no_generation") == 8
        install(settings)
        until(lambda: server.generations.current, "the generation is picked up")
        assert client.get(1, at_ms=CUTOVER_MS).context.generation == "2026-11-15"
        assert metric(server, "impressions_incomplete", reason="no_generation") == 0


def test_a_shard_that_the_generation_was_loaded_without_is_not_complete(tmp_path):
    """Loaded for shards 0 to 2; then the host is given shard 3, too, or only that one."""
    install(settings_in(tmp_path, host={"shards": "0-2"}))
    for shards, answered in (("0-3", [0, 1, 2]), ("3", [])):
        settings = settings_in(tmp_path, host={"shards": shards})
        with serving(settings, clock=FixedClock(CUTOVER_MS)) as server, client_of(server) as client:
            described = client.describe()
            assert list(described.shards) == answered
            assert reason_words(described.reasons) == ("no_generation",)
            assert metric(server, "impressions_incomplete", reason="no_generation") == 1


@pytest.mark.parametrize(
    "data", [b"\xff", b"\x08", b"\x12\x05\x1a\x03\xff\xfe\xfd", b"\x12\xff\x01a"]
)
def test_bytes_that_are_no_request_are_the_callers_fault(server, data):
    """Truncated, bad UTF-8, a length beyond the end; the next good call works."""
    with grpc.insecure_channel(server.address) as channel:
        raw = channel.unary_unary(GET)
        with pytest.raises(grpc.RpcError) as caught:
            raw(data, timeout=10)
        good = pb.GetProfileRequest(profile_id=1).SerializeToString()
        assert raw(good, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_request_above_the_size_limit_is_refused_unread(tmp_path):
    settings = settings_in(tmp_path, max_request_bytes=2048)
    install(settings)
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        raw = channel.unary_unary(GET)
        with pytest.raises(grpc.RpcError) as caught:
            raw(bytes(4096), timeout=10)
        assert raw(pb.GetProfileRequest(profile_id=1).SerializeToString(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_unknown_method_is_unimplemented(server):
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/impressions.v1.ImpressionsService/Drop")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# ---- the table itself ----


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_every_error_of_the_tree_has_a_decided_code():
    """A class added to impressions/core/errors.py must be placed in the table, not fall through."""
    tree = {k for k in subclasses(errors.ImpressionsError) if k.__module__ == errors.__name__}
    inherited = {errors.MappingError, errors.FormatVersionError}
    assert tree - inherited == set(error_status.BY_CLASS)
    for kind in tree:
        assert error_status.code_of(kind("text")) is not grpc.StatusCode.OK
    assert error_status.code_of(errors.FormatVersionError("x")) is grpc.StatusCode.DATA_LOSS


# (error, code, names of the details beside ErrorInfo)
TABLE = [
    (requests.InvalidField("f", "1, expected 2"), "INVALID_ARGUMENT", {"BadRequest"}),
    (error_status.ShardNotOwned(3, (1, 2)), "FAILED_PRECONDITION", set()),
    (errors.NotReady("x", reason="no_generation"), "UNAVAILABLE", {"RetryInfo"}),
    (errors.NotReady("x", reason="stopping"), "UNAVAILABLE", {"RetryInfo"}),
    (errors.CorruptData("x"), "DATA_LOSS", set()),
    (errors.NotReady("x", reason="overloaded"), "RESOURCE_EXHAUSTED", {"RetryInfo"}),
    (errors.NotReady("x", reason="deadline_exceeded"), "DEADLINE_EXCEEDED", set()),
    (errors.NotReady("x", reason="unauthenticated"), "UNAUTHENTICATED", set()),
    (KeyError("/secret/path"), "INTERNAL", set()),
]


@pytest.mark.parametrize(("error", "code", "expected"), TABLE, ids=[row[1] for row in TABLE])
def test_each_situation_has_its_code_and_details(error, code, expected):
    rich = error_status.status_of(error)
    assert rpc_status.to_status(rich).code.name == code
    kinds = {packed.type_url.rpartition(".")[2] for packed in rich.details}
    assert kinds == {"ErrorInfo", *expected}
    info = details.ErrorInfo()
    assert rich.details[0].Unpack(info)
    assert info.domain == "impressions.v1"
    assert info.reason.isupper()
    assert "/secret" not in rich.message
