"""The compiled answer is the plain one: same bytes for any request, or it is left to the plain one.

Drawn requests on drawn blocks, with none to seven deltas, by both forms in this process.
"""

import contextlib
import random
from types import SimpleNamespace

import numpy as np
import pytest

from impressions.compiled import request as compiled_request
from impressions.core import window
from impressions.core.completeness import StreamState
from impressions.core.errors import ImpressionsError
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import delta_block
from impressions.formats.stored_profile import row_count
from impressions.settings.model import Settings
from impressions.settings.sections.live import Serving
from impressions.v1 import impressions_service_pb2 as pb
from serving import compiled_answers
from serving.answer_contexts import AnswerContexts, context_at
from serving.calls import parse
from serving.cold_reads import ColdReads
from serving.compiled_answers import CompiledAnswers, SharedAnswers
from serving.metrics import ServerMetrics
from serving.reads import Deltas, Reader
from serving.service import ImpressionsService
from tests.blocks import delta_blocks_of, profile_block_of
from tests.faults.size import scaled
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS
from tests.summed_blocks import encode_as_before
from tests.unit.test_compiled import mutated

SPEC = Spec()
SHARDS = 8
NOW_MS = CUTOVER_MS + 8 * DAY_MS
OTHERS_SHARD = 3
OWN_IDS = [i for i in (*range(12), 2**62, 2**63 - 1) if shard_of(i, SHARDS) != OTHERS_SHARD]
HORIZON_MS = window.horizon_ms(CUTOVER_MS, SPEC)
PERMIT = SimpleNamespace(check=lambda: None, computing=lambda entries: contextlib.nullcontext())
TITLES = [*range(1, 60), 300, 2**20, 2**40, 2**55 - 1]


class World:
    """A generation with one block for every profile, its deltas, and both forms of answering."""

    def __init__(self, **serving):
        self.settings = Settings(serving=Serving(max_titles=50, max_batch=16, **serving))
        self.block, self.deltas = None, []
        self.stream = None
        self.generation = SimpleNamespace(
            name="2026-11-15",
            cutover_ms=CUTOVER_MS,
            owned=frozenset(range(SHARDS)) - {OTHERS_SHARD},
            shards=tuple(s for s in range(SHARDS) if s != OTHERS_SHARD),
            manifest=SimpleNamespace(history_until_ms=0),
            release=lambda: None,
            stored_in=lambda shard, profile_id, waits=False: self.block,
        )
        parts = self.settings, self, FixedClock(NOW_MS), self.deltas_of
        metrics = ServerMetrics()
        self.compiled = CompiledAnswers(*parts, metrics.read_times(), ColdReads())
        reader = Reader(self.settings, self.deltas_of, metrics)
        self.plain = ImpressionsService(self.settings, self, parts[2], reader, lambda: None)

    def acquire(self):
        return self.generation

    @contextlib.contextmanager
    def lease(self):
        yield self.generation

    def deltas_of(self, shard, profile_id, from_slot_ms):
        return Deltas(self.deltas, self.stream)

    def both(self, data, of_batch=False):
        """What the compiled form and the plain form answer: bytes, None or an error."""
        if of_batch:
            found = self.compiled.batch_get_profiles(data, lambda: None)
            return found, self._plain(pb.BatchGetProfilesRequest, "batch_get_profiles", data)
        found = self.compiled.get_profile(data)
        return found, self._plain(pb.GetProfileRequest, "get_profile", data)

    def _plain(self, kind, method, data):
        try:
            return getattr(self.plain, method)(parse(kind, data), PERMIT)
        except ImpressionsError as error:
            return error


@pytest.fixture
def world():
    return World()


def events(rng, n, first_ms, last_ms):
    return [
        {"title": rng.choice(TITLES), "location": rng.choice([0, 1, 255]),
         "event_ms": rng.randrange(first_ms, last_ms), "played": rng.randrange(2),
         "dwell_s": rng.choice([0.0, 0.0, round(rng.random(), 3), rng.random() * 100])}
        for _ in range(n)
    ]  # fmt: skip


def stored(rng):
    """A year of a profile, or nothing of it; none to seven days since."""
    year = events(rng, rng.randrange(1, 120), CUTOVER_MS - 364 * DAY_MS, CUTOVER_MS)
    block = profile_block_of(year, CUTOVER_MS, SPEC) if rng.random() < 0.9 else None
    deltas = []
    for day in range(rng.randrange(8)):
        begin = CUTOVER_MS + day * DAY_MS
        arrived = [(e, begin) for e in events(rng, rng.randrange(1, 9), begin, begin + DAY_MS)]
        encode = rng.choice([delta_block.encode, delta_block.encode, encode_as_before])
        deltas += [encode(each, SPEC) for each in delta_blocks_of(arrived, SPEC)]
    return block, deltas


def projection(rng):
    """Any projection that is right."""
    drawn = pb.Projection()
    if rng.random() < 0.6:
        drawn.title_ids.extend(rng.choices(TITLES, k=rng.randrange(20)))
        if rng.random() < 0.5:
            drawn.title_ids.sort()
    if rng.random() < 0.3:
        drawn.locations.extend(rng.choices([0, 1, 2, 255], k=rng.randrange(4)))
    if rng.random() < 0.3:
        drawn.measures.extend(rng.choices(SPEC.measure_names, k=rng.randrange(4)))
    if rng.random() < 0.3:
        drawn.half_lives_days.extend(rng.choices(SPEC.half_lives_days, k=rng.randrange(5)))
    drawn.group_by = rng.choice([0, 1, 2])
    if rng.random() < 0.3:
        drawn.top_k.k = rng.choice([1, 2, 7, 10**6])
        drawn.top_k.measure = rng.choice(SPEC.measure_names)
        drawn.top_k.half_life_days = rng.choice(SPEC.half_lives_days)
    for name in (
        "include_totals", "include_last_seen", "include_ema_rates", "omit_decayed",
        "include_plays_per_impression",
    ):  # fmt: skip
        setattr(drawn, name, rng.random() < 0.3)
    return drawn


def stream(rng):
    """None, nothing known, behind, restoring, well."""
    through_ms = rng.choice([None, NOW_MS, NOW_MS - 10**7])
    return rng.choice([None, StreamState(through_ms, rng.choice([0, NOW_MS]), rng.random() < 0.2)])


def query_ms(rng):
    """None for now; else up to two days past the horizon."""
    return rng.choice([None, CUTOVER_MS, rng.randrange(CUTOVER_MS, HORIZON_MS + 2 * DAY_MS)])


def profile_id(rng):
    return rng.choice([0, 1, 2**63 - 1, rng.randrange(2**62)])


@pytest.mark.parametrize("seed", range(scaled(4, 100)))
def test_the_bytes_are_the_plain_ones(world, seed):
    """For any projection, of any profile, at any time, with and without a generation."""
    rng, generation, answered = random.Random(seed), world.generation, 0
    for _ in range(300):
        world.block, world.deltas = stored(rng)
        world.stream = stream(rng)
        world.generation = None if rng.random() < 0.1 else generation
        if world.generation is None:
            world.block = None
        request = pb.GetProfileRequest(
            profile_id=profile_id(rng), projection=projection(rng), query_time_ms=query_ms(rng)
        )
        found, expected = world.both(request.SerializeToString())
        if isinstance(expected, ImpressionsError):
            assert shard_of(request.profile_id, SHARDS) == OTHERS_SHARD, f"seed {seed}: {expected}"
            assert found is None
        else:
            assert found == expected, f"seed {seed}: {request}"
            answered += 1
    assert answered > 200, f"seed {seed}"


@pytest.mark.parametrize("seed", range(scaled(2, 50)))
def test_the_bytes_of_a_batch_are_the_plain_ones(world, seed):
    """One to sixteen ids, some of them twice; a shard of another host leaves the whole batch."""
    rng, answered = random.Random(seed), 0
    for _ in range(100):
        world.block, world.deltas = stored(rng)
        world.stream = stream(rng)
        pool = [*OWN_IDS, *range(20)] if rng.random() < 0.2 else OWN_IDS
        ids = [rng.choice(pool) for _ in range(rng.randrange(1, 17))]
        request = pb.BatchGetProfilesRequest(
            profile_ids=ids, projection=projection(rng), query_time_ms=query_ms(rng)
        )
        found, expected = world.both(request.SerializeToString(), of_batch=True)
        if any(shard_of(i, SHARDS) == OTHERS_SHARD for i in ids):
            assert found is None
        else:
            assert found == expected, f"seed {seed}: {request}"
            answered += 1
    assert answered > 30, f"seed {seed}"


@pytest.mark.parametrize("seed", range(scaled(3, 50)))
def test_damaged_bytes_are_answered_alike(world, seed):
    """Flipped, cut or grown blocks: left to the plain form, or the same bytes where they still are
    a profile's."""
    rng, left = random.Random(seed), 0
    for _ in range(200):
        block, deltas = stored(rng)
        world.block = None if block is None else mutated(block, rng)
        world.deltas = [mutated(delta, rng) for delta in deltas]
        request = pb.GetProfileRequest(
            profile_id=1, projection=projection(rng), query_time_ms=CUTOVER_MS + 3 * DAY_MS
        )
        with np.errstate(all="ignore"):
            found, expected = world.both(request.SerializeToString())
        if isinstance(expected, ImpressionsError):
            left += 1
            assert found is None, f"seed {seed}: {request}"
        else:
            assert found in (None, expected), f"seed {seed}: {request}"
    assert left > 30, f"seed {seed}: only {left} mutations mattered"


@pytest.mark.parametrize("of_batch", [False, True])
@pytest.mark.parametrize("seed", range(scaled(2, 50)))
def test_requests_of_any_bytes_are_answered_alike(world, seed, of_batch):
    """Flipped, cut, grown and doubled requests: what is answered is what the plain form answers."""
    rng, answered, refused = random.Random(seed), 0, 0
    world.block, world.deltas = stored(rng)
    for _ in range(1_000):
        shared = {"projection": projection(rng), "query_time_ms": query_ms(rng)}
        if of_batch:
            request = pb.BatchGetProfilesRequest(profile_ids=OWN_IDS[:2], **shared)
        else:
            request = pb.GetProfileRequest(profile_id=1, **shared)
        data = mutated(request.SerializeToString(), rng)
        if rng.random() < 0.2:
            data += pb.GetProfileRequest(profile_id=2, query_time_ms=NOW_MS).SerializeToString()
        found, expected = world.both(data, of_batch)
        if found is not None:
            answered += 1
            assert found == expected, f"seed {seed}: {data.hex()}"
        refused += isinstance(expected, ImpressionsError)
    assert answered > 100, f"seed {seed}"
    assert refused > 100, f"seed {seed}"


def test_what_is_not_ordinary_is_left_to_the_plain_form(world):
    """Each of these the plain form refuses, and says why."""
    for fields in (
        {},
        {"profile_id": -1},
        {"profile_id": 1, "query_time_ms": CUTOVER_MS - 1},
        {"profile_id": 1, "query_time_ms": 2**60},
        {"profile_id": 1, "projection": {"title_ids": range(51)}},
        {"profile_id": 1, "projection": {"title_ids": [2**55]}},
        {"profile_id": 1, "projection": {"locations": [256]}},
        {"profile_id": 1, "projection": {"measures": ["clicks"]}},
        {"profile_id": 1, "projection": {"half_lives_days": [2]}},
        {"profile_id": 1, "projection": {"group_by": 9}},
        {"profile_id": 1, "projection": {"top_k": {"measure": "plays", "half_life_days": 7}}},
        {"profile_id": 1, "projection": {"top_k": {"k": 1, "half_life_days": 7}}},
        {"profile_id": 1, "projection": {"top_k": {"k": 1, "measure": "plays"}}},
    ):
        found, expected = world.both(pb.GetProfileRequest(**fields).SerializeToString())
        assert found is None, fields
        assert isinstance(expected, ImpressionsError), fields


@pytest.mark.parametrize("of_batch", [False, True])
def test_an_answer_above_the_limit_is_left_to_the_plain_form(of_batch):
    """Where the plain form refuses, and nowhere else: the limit is walked over, byte by byte."""
    rng = random.Random(5)
    block, deltas = stored(rng)
    request = pb.GetProfileRequest(profile_id=1, query_time_ms=NOW_MS)
    if of_batch:
        request = pb.BatchGetProfilesRequest(profile_ids=[1, OWN_IDS[2], 1], query_time_ms=NOW_MS)
    data = request.SerializeToString()
    world = World()
    world.block, world.deltas = block, deltas
    size = len(world.both(data, of_batch)[1])
    outcomes = set()
    for limit in range(size - 12, size + 3):
        world = World(max_answer_bytes=limit)
        world.block, world.deltas = block, deltas
        found, expected = world.both(data, of_batch)
        outcomes.add(found is None)
        assert (found is None) == isinstance(expected, ImpressionsError), limit
        assert found in (None, expected)
    assert outcomes == {True, False}


def test_a_buffer_that_is_too_small_grows(world, monkeypatch):
    """From a few bytes, for one answer and within a batch."""
    world.block, world.deltas = stored(random.Random(6))
    world.compiled._out = np.empty(64, np.uint8)
    one = pb.GetProfileRequest(profile_id=1, query_time_ms=NOW_MS).SerializeToString()
    many = pb.BatchGetProfilesRequest(profile_ids=[1, 1, *OWN_IDS], query_time_ms=NOW_MS)
    for data, of_batch in ((one, False), (many.SerializeToString(), True)):
        found, expected = world.both(data, of_batch)
        assert found == expected
        world.compiled._out = np.empty(64, np.uint8)


def test_shards_are_those_of_the_plain_form():
    """Of the smallest and the largest ids, and of many between."""
    rng = random.Random(7)
    for each in [0, 1, 2**31, 2**32, 2**63 - 1, *(rng.randrange(2**63) for _ in range(1_000))]:
        for partitions in (1, 8, 64):
            assert compiled_request.shard_of(each, partitions) == shard_of(each, partitions)


def test_contexts_are_those_of_the_plain_form(world):
    """At every moment, before and after the horizon, for every state of the stream."""
    rng, contexts = random.Random(8), AnswerContexts(world.settings)
    for _ in range(1_000):
        generation = rng.choice([None, world.generation])
        state, now_ms = stream(rng), NOW_MS + rng.choice([0, 10**5, 10**8])
        at_ms = rng.choice([CUTOVER_MS, HORIZON_MS - 1, HORIZON_MS])
        around, head = contexts.of(generation, at_ms, state, now_ms)
        query = pb.AnswerContext(query_time_ms=at_ms).SerializeToString()
        found = around[:head].tobytes() + query + around[head:].tobytes()
        assert found == context_at(world.settings, generation, at_ms, state, now_ms)


def test_titles_of_a_large_profile_are_looked_for_in_the_pool(world, monkeypatch):
    """All its rows are walked: the thread of the front leaves that to a thread that may wait."""
    world.block, world.deltas = stored(random.Random(9))
    request = pb.GetProfileRequest(profile_id=1, query_time_ms=NOW_MS)
    request.projection.title_ids.extend(TITLES[:40])
    expected = world.both(request.SerializeToString())[1]
    shared = SharedAnswers(
        world.settings, world, FixedClock(NOW_MS), world.deltas_of, ServerMetrics(), ColdReads()
    )
    soon = shared.new(world.deltas_of, waits=False)
    rows = row_count(world.block, world.deltas)
    for limit, at_once in ((rows, expected), (rows - 1, None)):
        monkeypatch.setattr(compiled_answers, "LARGE_ENTRIES", limit)
        data = request.SerializeToString()
        assert (soon.get_profile(data), shared.get_profile(data, lambda: None)) == (
            at_once,
            expected,
        )


def test_calls_at_the_same_time_have_buffers_of_their_own(world):
    """The second call begins while the first is computed; both are answered."""
    world.block, world.deltas = stored(random.Random(9))
    data = pb.GetProfileRequest(profile_id=1, query_time_ms=NOW_MS).SerializeToString()
    inner = []

    def deltas_of(shard, profile_id, from_slot_ms):
        if not inner:
            inner.append(None)
            inner[0] = shared.get_profile(data, lambda: None)
        return world.deltas_of(shard, profile_id, from_slot_ms)

    shared = SharedAnswers(
        world.settings, world, FixedClock(NOW_MS), deltas_of, ServerMetrics(), ColdReads()
    )
    expected = world.both(data)[1]
    assert shared.get_profile(data, lambda: None) == expected
    assert inner == [expected]
