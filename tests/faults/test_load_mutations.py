"""Thousands of seeded mutations of a published generation: each is refused before it can be served.

A mutation that leaves what is loaded as it was (another time of creation, a file that nobody names)
may load, but then every row is compared with what was published. A real server answers from the old
generation all the while.
"""

import os
import random
import shutil
from collections import Counter

import pytest

from bulkload.activate import activate
from bulkload.gc import gc
from bulkload.load import load
from impressions.core.errors import Refused
from impressions.rocksdb import generation_store
from tests.bulkload.world import EVENTS, NEW, NEW_MS, OLD, OLD_MS, PARTITIONS
from tests.faults.mutations import OF_BYTES, OF_FILES, OF_MANIFESTS, draw
from tests.faults.size import scaled
from tests.generations import blocks_of
from tests.serving.support import client_of, serving

MUTATIONS = scaled(400, 8_000)


def rows_of(world, generation):
    """Every (key, value) that this host would serve."""
    store = generation_store.open_read_only(world.paths.store(generation), range(PARTITIONS))
    try:
        return dict(store.scan())
    finally:
        store.close()


def try_load(world, case, expected, where):
    """ "refused" or "harmless"; anything else fails."""
    before, refusal = world.snapshot(), None
    try:
        load(world.settings, NEW)
    except Refused as error:
        refusal = error
    if refusal is not None:
        assert not case.is_void, f"{where}: nothing was wrong: {refusal.message}"
        assert any(name in refusal.message for name in case.names), f"{where}: {refusal.message}"
        assert refusal.hint, where
        assert world.snapshot() == before, where
        return "refused"
    assert case.is_void, f"{where}: loaded"
    assert rows_of(world, NEW) == expected, f"{where}: other rows"
    gc(world.settings, generation=NEW)
    return "harmless"


@pytest.mark.slow
@pytest.mark.representative
def test_every_mutation_is_refused_and_the_old_generation_answers_on(empty):
    """Of every kind some; made = refused + harmless, and no answer changed."""
    world = empty
    for cutover_ms in (OLD_MS, NEW_MS):
        world.publish(cutover_ms, files_per_shard=2)
    load(world.settings, OLD)
    activate(world.settings, OLD)
    seed = int(os.environ.get("IMPRESSIONS_TEST_SEED", "5"))
    rng, good = random.Random(seed), world.published.with_name("good")
    shutil.copytree(world.published / NEW, good)
    expected = {k.to_bytes(8, "big"): v for k, v in blocks_of(EVENTS, NEW_MS).items()}
    made, outcomes = Counter(), {"refused": Counter(), "harmless": Counter()}
    settings = world.settings.model_copy(
        update={"serving": world.settings.serving.model_copy(update={"listen": "127.0.0.1:0"})}
    )
    with serving(settings) as server, client_of(server) as client:
        truth = client.get(1, at_ms=NEW_MS, totals=True)
        for number in range(MUTATIONS):
            case = draw(rng, world)
            where = f"seed {seed}, mutation {number}: {case.kind} {case.names}"
            case.spoil()
            made[case.kind] += 1
            outcomes[try_load(world, case, expected, where)][case.kind] += 1
            shutil.rmtree(world.published / NEW)
            shutil.copytree(good, world.published / NEW)
            answer = client.get(1, at_ms=NEW_MS, totals=True)
            assert answer.context.generation == OLD == world.active(), where
            assert answer.totals["impressions"].tolist() == truth.totals["impressions"].tolist()
    print_table(made, outcomes)
    assert set(made) == {*OF_BYTES, *OF_FILES, *OF_MANIFESTS}, "every kind was made"
    assert outcomes["refused"].total() > MUTATIONS * 0.8
    assert load(world.settings, NEW).action == "loaded"


def print_table(made, outcomes):
    """The figures for docs/reliability.md; shown by `pytest -s`."""
    for kind, count in sorted(made.items()):
        refused, harmless = outcomes["refused"][kind], outcomes["harmless"][kind]
        print(f"{kind:45} made {count:5} refused {refused:5} harmless {harmless:5}")
    totals = [made.total(), outcomes["refused"].total(), outcomes["harmless"].total()]
    print("all: made {} refused {} harmless {}".format(*totals))
