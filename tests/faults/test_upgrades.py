"""Bytes of another format or another spec: read right, or refused with both and with what to do."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bulkload.activate import activate
from bulkload.load import load
from impressions.core.errors import CorruptData, FormatVersionError, ImpressionsError, Refused
from impressions.core.spec import Spec
from impressions.deltas.store import PartitionState, decode_state, encode_state, open_primary
from impressions.formats import delta_block, heartbeat, manifest, pointer, profile_block, sealed
from serving.live_deltas import LiveDeltas
from speed.partitions.opening import open_copy
from speed.partitions.starting_point import starting_point
from tests.bulkload.world import EVENTS, NEW, NEW_MS, OLD
from tests.faults.conftest import serving_settings
from tests.fuzz.targets import BEAT, SPEC
from tests.generations import blocks_of
from tests.serving.support import client_of, serving, until

GOLDEN = Path(__file__).parents[1] / "golden"
SEALED = json.loads((GOLDEN / "sealed_v1.json").read_text())
DECODE = {
    "manifest": manifest.decode,
    "pointer": pointer.Pointer.decode,
    "loaded": pointer.Loaded.decode,
}
MORE_HALF_LIVES = Spec(half_lives_days=(1, 7, 30, 90, 180, 365))
STATE = PartitionState(bytes(16), 42, restoring=False)


def golden(name):
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def refusal(read, *args):
    with pytest.raises(ImpressionsError) as caught:
        read(*args)
    return caught.value


# ---- another format


@pytest.mark.parametrize("name", list(DECODE))
def test_sealed_files_of_the_first_versions_are_read(name):
    """Also those without a version, and a manifest without the field that came later."""
    first, *later = (DECODE[name](text.encode()) for text in SEALED[name])
    assert later == [first]


@pytest.mark.parametrize("name", list(DECODE))
@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_sealed_file_of_another_format_names_both_and_the_command(name, version):
    body = sealed.unseal(SEALED[name][-1].encode(), name)
    error = refusal(DECODE[name], sealed.seal({**body, "format": version, "news": 1}))
    assert isinstance(error, FormatVersionError)
    assert f"format version {version!r}, expected 1" in error.message
    assert "impressions " in error.hint


@pytest.mark.parametrize("step", [-1, 1, 100])
@pytest.mark.parametrize(
    ("read", "good"),
    [
        (profile_block.decode, golden("profile_block_v2")),
        (delta_block.decode, golden("delta_block_v3")),
        (heartbeat.decode, heartbeat.encode(BEAT, SPEC)),
    ],
    ids=["profile_block", "delta_block", "heartbeat"],
)
def test_a_block_of_another_format_names_both_and_the_command(read, good, step):
    """Whatever stands behind the first two bytes, which every version has."""
    version = good[0] + step
    if read is not profile_block.decode and step == -1:
        version = 0  # what came before is read, and has its own test
    read(good, SPEC)
    for rest in (good[2:], b"", b"x" * 200):
        error = refusal(read, bytes([version]) + good[1:2] + rest, SPEC)
        if len(rest) == len(good) - 2:
            assert error.reason == "format_version"
            assert f"format version {version}, expected {good[0]}" in error.message
            assert "impressions " in error.hint


def test_a_workers_state_of_another_format_is_thrown_away_and_made_again(tmp_path):
    """It is derived: the delta topic has all of it. Version 1 may come from a follower that passed
    over blocks it could not read."""
    store = open_primary(tmp_path / "copy")
    state = encode_state(STATE)
    store._table.write([(b"p\0\0\0\3", b"\x01" + state[1:]), (bytes(16), b"a block")])
    store.close()
    assert isinstance(refusal(decode_state, b"\x01" + state[1:]), FormatVersionError)
    again = open_copy(tmp_path / "copy", 3)
    assert again.state(3) is None
    assert list(again.scan()) == []
    again.close()


def test_a_good_state_is_not_thrown_away(tmp_path):
    store = open_primary(tmp_path / "copy")
    store.write([(bytes(16), b"a block")], {3: STATE})
    store.close()
    again = open_copy(tmp_path / "copy", 3)
    assert again.state(3) == STATE
    assert again.get(bytes(16)) == b"a block"
    again.close()


# ---- another spec, another P


@pytest.mark.parametrize(
    ("spec", "partitions", "reason"),
    [
        (MORE_HALF_LIVES, 2, "wrong_spec"),
        (Spec(slot_ms=3_600_000), 2, "wrong_spec"),
        (SPEC, 4, "wrong_partitions"),
    ],
    ids=["a half-life more", "another slot", "another P"],
)
def test_a_generation_made_otherwise_is_not_loaded(world, spec, partitions, reason):
    """A real one, made with other settings: both values and what to do in the message."""
    shutil.rmtree(world.published / NEW)
    blocks = {1: b"made by another version"}
    made = world.publish(NEW_MS, blocks=blocks, spec=spec, partitions=partitions)
    before = world.snapshot()
    error = refusal(load, world.settings, NEW)
    assert (type(error), error.reason) == (Refused, reason)
    found = made.spec_fingerprint if reason == "wrong_spec" else str(partitions)
    assert found in error.message
    assert (SPEC.fingerprint if reason == "wrong_spec" else "2") in error.message
    assert error.hint
    assert world.snapshot() == before


def test_blocks_of_another_spec_are_refused_though_the_manifest_says_ours(world):
    shutil.rmtree(world.published / NEW)
    blocks = {1: golden("profile_block_v2")[:2] + b"\x03\x06" + golden("profile_block_v2")[4:]}
    world.publish(NEW_MS, blocks=blocks | {2: blocks_of(EVENTS, NEW_MS)[2]})
    assert "6 half-lives" in refusal(load, world.settings, NEW).message


@pytest.mark.parametrize("change", [{"slot_seconds": 3600}, {"partitions": 4}])
def test_a_host_whose_settings_changed_serves_nothing_and_says_why(world, change, caplog):
    """What it loaded before stays as it is; with the old settings it answers again."""
    settings = serving_settings(world)
    with serving(settings.model_copy(update=change)) as server:
        assert server.generations.current is None
    (line,) = [r.getMessage() for r in caplog.records if "generation-kept" in r.getMessage()]
    assert re.search("spec fingerprint|number of partitions", line)
    assert refusal(activate, world.settings.model_copy(update=change), OLD).exit_code in (5, 7)
    with serving(settings) as server, client_of(server) as client:
        assert until(lambda: client.get(1, at_ms=NEW_MS).context.generation == OLD, "served")


def state_with(beat, spec=SPEC):
    return PartitionState(beat.deltas_id, 7, False, heartbeat=heartbeat.encode(beat, spec))


@pytest.mark.parametrize(
    ("held", "reason", "words"),
    [
        (state_with(BEAT, MORE_HALF_LIVES), "spec", f"{MORE_HALF_LIVES.tag:08x}, expected"),
        (state_with(replace(BEAT, partitions=16)), "partitions", "16 partitions, expected 8"),
        (replace(state_with(BEAT), heartbeat=b"\x04H and more"), "format_version",
         "version 4, expected 3"),
    ],
)  # fmt: skip
def test_a_worker_does_not_go_on_in_a_delta_topic_of_another_kind(world, held, reason, words):
    """It would write over blocks of a stream that is good, only not its own."""
    settings = world.settings.model_copy(update={"partitions": 8})
    error = refusal(starting_point, held, settings, 3, BEAT.topic_id, (0, 100), NEW_MS)
    assert (type(error), error.reason) == (Refused, reason)
    assert words in error.message
    assert error.hint


def test_a_copy_of_deltas_of_another_spec_answers_nothing(world):
    """The server that opens it says so for each shard, instead of numbers."""
    settings = world.settings
    store = open_primary(settings.deltas_dir / "store")
    store.write([], {0: state_with(BEAT, MORE_HALF_LIVES)})
    store.close()
    live = LiveDeltas(settings)
    live.refresh()
    error = refusal(live, 0, 1, 0)
    live.stop()
    assert (type(error), error.reason) == (Refused, "spec")
    assert "kafka.deltas_topic" in error.hint


def test_a_corrupt_block_is_no_other_version():
    """Bytes that were never a block are not excused by their first byte."""
    for read in (profile_block.decode, delta_block.decode, heartbeat.decode):
        error = refusal(read, b"\x07" + b"Kafka headers of somebody else" * 9, SPEC)
        assert type(error) is CorruptData
