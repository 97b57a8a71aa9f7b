"""Rot in a live store: the profiles it hits get DATA_LOSS, never a number; the others answer on."""

from impressions.client import CallFailed
from impressions.core.shard import shard_of
from impressions.formats.generation_paths import HostPaths
from impressions.formats.pointer import Pointer
from tests.compare import differences
from tests.generations import CUTOVER_MS, blocks_of
from tests.serving.support import (
    EVENTS,
    WEEK_2_MS,
    client_of,
    expected_of,
    install,
    result_rows,
    serving,
    settings_in,
    until,
)
from tests.tolerance import FLOAT32_STORED

PROFILES = range(1, 41)
EVERYTHING = {"by_location": True, "totals": True, "last_seen": True}


def flip_a_byte_of(profile: int, settings, cutover_ms: int, name: str) -> None:
    """Change one byte in the middle of a profile's block, in the SST file that is served."""
    block = blocks_of([e for e in EVENTS if e[0] == profile], cutover_ms)[profile]
    hits = 0
    for path in HostPaths(settings.host_dir).store(name).glob("*/*.sst"):
        at = path.read_bytes().find(block)
        if at >= 0:
            hits += 1
            with path.open("r+b") as file:
                file.seek(at + len(block) // 2)
                byte = file.read(1)
                file.seek(-1, 1)
                file.write(bytes([byte[0] ^ 0x40]))
    assert hits == 1, f"the block of profile {profile} was found in {hits} files"


def result_or_error(client, profile: int):
    try:
        return client.get(profile, at_ms=CUTOVER_MS, **EVERYTHING)
    except CallFailed as error:
        return error


def last_of_the_largest_shard() -> int:
    """A profile that opening a generation does not probe."""
    shards: dict[int, list[int]] = {}
    for profile in PROFILES:
        shards.setdefault(shard_of(profile, 8), []).append(profile)
    return max(max(shards.values(), key=len))


def test_a_rotten_block_is_data_loss_for_its_profiles_and_a_number_for_none(tmp_path, caplog):
    """One byte in one live SST; all profiles are asked, alone and in one batch."""
    settings = settings_in(tmp_path)
    name = install(settings)
    rotten = last_of_the_largest_shard()
    with serving(settings) as server, client_of(server) as client:
        assert len(client.get(rotten, at_ms=CUTOVER_MS)) > 0
        flip_a_byte_of(rotten, settings, CUTOVER_MS, name)
        batch = client.get_many(PROFILES, at_ms=CUTOVER_MS, **EVERYTHING)
        lost, kept = [], []
        for profile, result in zip(PROFILES, batch, strict=True):
            alone = result_or_error(client, profile)
            if isinstance(result, CallFailed):
                for error in (alone, result):
                    assert (error.code, error.reason) == ("DATA_LOSS", "corrupt")
                    assert str(tmp_path) not in error.message + str(error.hint)
                lost.append(profile)
            else:
                want = expected_of(profile, EVENTS, CUTOVER_MS, CUTOVER_MS)
                assert differences(result_rows(alone), want, FLOAT32_STORED) == []
                assert differences(result_rows(result), want, FLOAT32_STORED) == []
                kept.append(profile)
    assert rotten in lost
    assert {shard_of(profile, 8) for profile in lost} == {shard_of(rotten, 8)}
    assert len(lost) + len(kept) == len(PROFILES)
    assert "Corruption: block checksum mismatch" in caplog.text
    assert caplog.text.count("unreadable") == 1  # one damaged block, one line


def test_a_generation_whose_first_block_is_rotten_is_not_swapped_in(tmp_path, caplog):
    """Opening reads a few profiles first; the old generation answers on."""
    settings = settings_in(tmp_path)
    old = install(settings)
    new = install(settings, WEEK_2_MS)
    pointer = HostPaths(settings.host_dir).current
    pointer.write_bytes(Pointer(old, None, 0).encode())
    first = min(p for p in PROFILES if shard_of(p, 8) == 0)
    with serving(settings) as server, client_of(server) as client:
        flip_a_byte_of(first, settings, WEEK_2_MS, new)
        pointer.write_bytes(Pointer(new, old, 1).encode())
        until(lambda: "generation-kept" in caplog.text, "the new generation was tried")
        assert client.get(first, at_ms=WEEK_2_MS).context.generation == old
    assert "CorruptData" in caplog.text
