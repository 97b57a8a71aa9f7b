"""The answer to one call has a bound in bytes, and nothing above it is computed or kept."""

import contextlib
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from impressions.client import CallFailed, Top
from impressions.core.errors import ImpressionsError
from impressions.core.item import pack
from impressions.core.rows import Rows, empty_rows
from impressions.core.spec import Spec
from impressions.formats import profile_block
from impressions.v1 import impressions_service_pb2 as pb
from serving.metrics import ServerMetrics
from serving.reads import Reader, no_deltas
from serving.service import ImpressionsService
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS
from tests.serving.support import client_of, install, metric, serving, settings_in

SPEC, CLOCK = Spec(), FixedClock(CUTOVER_MS)
TITLES, ROW_BYTES = 40_000, 8 * (1 + len(SPEC.measures) * len(SPEC.half_lives_days))
SMALL, HUGE = 1, range(100, 104)
LIMIT_BYTES = 2 * TITLES * ROW_BYTES + 10_000
"""Two of the huge profiles fit into an answer, three do not."""


def block(titles: int) -> bytes:
    """A profile with this many titles, one of them at two locations."""
    title_ids = np.concatenate((np.arange(1, titles + 1), [titles]))
    items = pack(title_ids, np.concatenate((np.zeros(titles, np.int64), [1])))
    measures, half_lives, n = len(SPEC.measures), len(SPEC.half_lives_days), len(items)
    seen = np.full(n, CUTOVER_MS - 1)
    rows = Rows(items, seen, np.ones((measures, n)), np.ones((measures, half_lives, n)))
    return profile_block.encode(CUTOVER_MS, rows, empty_rows(SPEC), np.empty(0, np.int64), SPEC)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Settings of a host with one small profile and four huge ones, its server and a client."""
    settings = settings_in(tmp_path_factory.mktemp("host"), max_answer_bytes=LIMIT_BYTES)
    install(settings, blocks={SMALL: block(3), **{p: block(TITLES) for p in HUGE}})
    with serving(settings, clock=CLOCK) as server, client_of(server, retries=False) as client:
        yield SimpleNamespace(settings=settings, server=server, client=client)


@pytest.fixture(scope="module")
def client(world):
    return world.client


@pytest.fixture(scope="module")
def service(world):
    """The methods of such a server."""
    reader = Reader(world.settings, no_deltas, ServerMetrics())
    return ImpressionsService(world.settings, world.server.generations, CLOCK, reader, None)


def refusal_of(call, *arguments, **options):
    with pytest.raises(CallFailed) as caught:
        call(*arguments, **options)
    return caught.value


def batch(client, ids):
    """The ids that one call answers: no client in between that splits it."""
    request = pb.BatchGetProfilesRequest(profile_ids=ids)
    response = client._call(lambda stub: stub.batch, request)
    return [r.profile_id for r in response.results if not r.HasField("status")]


def peak_bytes(function, *arguments):
    """Result, and the most memory that was in use above what was before."""
    tracemalloc.start()
    try:
        return function(*arguments), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_limit_is_named_and_what_fits_is_answered(client):
    assert client.describe().limits.max_answer_bytes == LIMIT_BYTES
    assert len(client.get(HUGE[0]).title_ids) == TITLES
    assert batch(client, [HUGE[0], SMALL, HUGE[1]]) == [HUGE[0], SMALL, HUGE[1]]


def called(service, ids):
    """The call in this thread, without gRPC: how many bytes, or why none."""
    request = pb.BatchGetProfilesRequest(profile_ids=ids)
    permit = SimpleNamespace(check=lambda: None, computing=lambda _: contextlib.nullcontext())
    try:
        return len(service.batch_get_profiles(request, permit))
    except ImpressionsError as error:
        return error.reason


def test_a_huge_profile_32_times_is_refused_before_it_is_computed(service):
    """One of it is 4.9 MB, all of them 156 MB; what is stored of it, and its ids, is all that is
    held."""
    assert called(service, [HUGE[0]]) > TITLES * ROW_BYTES
    reason, peak = peak_bytes(called, service, [HUGE[0]] * 32)
    assert reason == "answer_too_large"
    assert peak < TITLES * ROW_BYTES, "stored it is smaller than answered"


def test_a_repeated_profile_is_computed_once_and_answered_each_time(world, client):
    before = metric(world.server, "impressions_merge_seconds_count")
    assert batch(client, [SMALL, HUGE[0], SMALL, HUGE[0], SMALL]) == [
        SMALL, HUGE[0], SMALL, HUGE[0], SMALL
    ]  # fmt: skip
    after = metric(world.server, "impressions_merge_seconds_count")
    assert after - before == 2


def test_different_huge_profiles_are_held_no_further_than_the_limit(service):
    """The third does not fit: two answers, the third's stored bytes, and no copy of all."""
    reason, peak = peak_bytes(called, service, list(HUGE))
    assert reason == "answer_too_large"
    assert peak < 2 * LIMIT_BYTES


def test_a_refusal_has_a_hint_and_no_time_to_retry(client):
    error = refusal_of(batch, client, list(HUGE))
    assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "answer_too_large")
    assert f"expected at most {LIMIT_BYTES:,}" in error.message
    assert "fewer profiles" in error.hint
    assert "serving.max_answer_bytes" in error.hint
    assert error.retry_after_s is None


def test_columns_count_and_a_few_rows_of_a_huge_profile_fit(client):
    """All columns of one are twice as many and too large for one call, in a stream as well; its
    top, chosen titles and chosen locations are not."""
    everything = {"totals": True, "last_seen": True, "ema_rates": True}
    many = {**everything, "by_location": True, "plays_per_impression": True}
    assert refusal_of(client.get, HUGE[0], **many).reason == "answer_too_large"
    (streamed, small) = client.stream([HUGE[0], SMALL], **many)
    assert (streamed.code, streamed.reason) == ("RESOURCE_EXHAUSTED", "answer_too_large")
    assert len(small.title_ids) == 4
    assert len(client.get(HUGE[0], top=Top(5, "plays", 7), **many).title_ids) == 5
    assert len(client.get(HUGE[0], titles=[7, TITLES], **many).title_ids) == 3
    assert len(client.get(HUGE[0], locations=[1], **many).title_ids) == 1


def test_the_client_asks_in_smaller_calls_by_itself(client):
    """And one that fits into no call is the error of that one."""
    results = client.get_many([*HUGE, SMALL, HUGE[0]])
    assert [r.profile_id for r in results] == [*HUGE, SMALL, HUGE[0]]
    many = {"totals": True, "last_seen": True, "ema_rates": True, "by_location": True}
    huge, small = client.get_many([HUGE[0], SMALL], plays_per_impression=True, **many)
    assert huge.reason == "answer_too_large"
    assert small.profile_id == SMALL


def test_other_errors_count_and_are_repeated_too(client):
    """A negative id, twice: its own error both times, with the position of the first."""
    first, good, second = client.get_many([-1, SMALL, -1])
    assert first.reason == second.reason == "invalid_field"
    assert "profile_ids[0]" in first.message
    assert good.profile_id == SMALL
