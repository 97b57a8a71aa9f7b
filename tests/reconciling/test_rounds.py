"""Which profiles are compared, the command, and the service: rounds through all profiles."""

from __future__ import annotations

import json

import numpy as np
import pytest

from batch.reconciling import choosing, rotation, service
from batch.reconciling import round as rounds
from batch.reconciling import verb as reconcile
from batch.reconciling.landed import read_table
from batch.reconciling.metrics import Metrics
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.process.command import as_app, main
from tests.generations import CUTOVER_MS
from tests.reconciling.world import EVENTS, PROFILES, STREAMED, World, damage_file
from tests.serving.support import WEEK_2_MS

SHARDS = range(8)


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A world without a fault, which no test changes."""
    with World(tmp_path_factory.mktemp("right")) as world:
        world.right()
        yield world


@pytest.fixture(scope="module")
def raw(right):
    return read_table(right.settings, WEEK_2_MS)


@pytest.fixture
def wrong(tmp_path):
    """A world whose stream lost the last event."""
    with World(tmp_path) as world:
        world.raw(EVENTS)
        world.generation(EVENTS)
        world.stream(EVENTS[:-1])
        world.serve()
        yield world


def profiles_of(chosen):
    return sorted(p for runs in chosen.values() for run in runs for p in run.tolist())


def test_a_sample_is_the_same_for_the_same_seed(raw):
    """Profiles that exist, none twice, in their shards; another seed draws others."""
    samples = [profiles_of(choosing.sampled(raw, SHARDS, 4, seed)) for seed in range(20)]
    again = [profiles_of(choosing.sampled(raw, SHARDS, 4, seed)) for seed in range(20)]
    assert samples == again
    assert len({tuple(sample) for sample in samples}) > 5
    for sample in samples:
        assert len(set(sample)) == len(sample) > 0
        assert set(sample) <= set(PROFILES)
    for shard, runs in choosing.sampled(raw, SHARDS, 10, 1).items():
        assert {shard_of(p, 8) for run in runs for p in run.tolist()} == {shard}


def test_a_sample_since_a_date_is_of_profiles_with_events_since_then(raw):
    since_ms = WEEK_2_MS - DAY_MS
    recent = {profile for profile, _, ingest_ms in EVENTS if ingest_ms >= since_ms}
    assert 0 < len(recent) < len(PROFILES)
    for seed in range(10):
        assert set(profiles_of(choosing.sampled(raw, SHARDS, 10, seed, since_ms))) <= recent


@pytest.mark.parametrize("n", [1, 3, 4, 100])
def test_rounds_in_turn_meet_every_profile_once(raw, n):
    """By shard, then by key; the last round says that all shards are through."""
    met, place = [], choosing.Place()
    while place is not None:
        chosen, place = choosing.next_in_turn(raw, SHARDS, place, n)
        some = [p for shard in sorted(chosen) for run in chosen[shard] for p in run.tolist()]
        assert len(some) <= n
        met += some
    assert met == sorted(PROFILES, key=lambda p: (shard_of(p, 8), p))


def test_the_next_profiles_go_on_over_row_groups(tmp_path, monkeypatch):
    """A file of many row groups, some of several shards, gives those of the first that has any, and
    none is left out."""
    monkeypatch.setattr("batch.lake.row_groups.LEAST_ROWS", 4)
    monkeypatch.setattr("batch.lake.row_groups.MOST_ROWS", 7)
    slot = [e for e in EVENTS if e[2] // DAY_MS == (CUTOVER_MS + 2 * DAY_MS) // DAY_MS]
    with World(tmp_path) as world:
        world.raw(slot * 6)
        raw = read_table(world.settings, WEEK_2_MS)
        for shard in SHARDS:
            met, start = [], 0
            while len(some := raw.next_profiles(shard, start, 2)):
                met += some.tolist()
                start = met[-1] + 1
            assert met == sorted({p for p, _, _ in slot if shard_of(p, 8) == shard})


def run(world, *words, capsys):
    """(exit code, the JSON document) of the command."""
    capsys.readouterr()
    sets = [f"home={world.settings.home}", "host.reserve_bytes=0"]
    flags = [text for pair in sets for text in ("--set", pair)]
    code = main(
        as_app(reconcile.command),
        ["--address", world.address, "--json", *flags, *words],
        "reconcile",
    )
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def at_week_2(monkeypatch):
    monkeypatch.setattr(reconcile, "now_ms", lambda: WEEK_2_MS)


def test_the_command_exits_0_where_nothing_differs(right, at_week_2, capsys):
    code, report = run(right, "--sample", "10", "--seed", "3", capsys=capsys)
    assert (code, report["counts"]["differing"], report["findings"]) == (0, 0, [])
    assert report["arguments"] == {"sample": 10, "seed": 3, "since": None}
    assert report["counts"]["profiles"] > 0


def test_the_command_exits_6_and_names_the_event(wrong, at_week_2, capsys):
    """In its JSON, and in words."""
    profile, event, _ = EVENTS[-1]
    code, report = run(wrong, "--profile", str(profile), capsys=capsys)
    ((finding,),) = [report["findings"]]
    (difference,) = finding["differences"]
    (named,) = difference["events"]
    assert code == 6
    assert (named["offset"], named["partition"]) == (len(EVENTS) - 1, shard_of(profile, 8))
    assert (named["title"], named["log_id"]) == (event["title"], len(EVENTS))
    assert named["layers"] == {
        "topic": "not asked", "raw": "has", "generation": "not its own", "stream": "lacks",
    }  # fmt: skip
    assert difference["expected"]["impressions"] == difference["found"]["impressions"] + 1
    code = main(
        as_app(reconcile.command),
        ["--address", wrong.address, "--profile", str(profile), "--set",
         f"home={wrong.settings.home}"],
        "reconcile",
    )  # fmt: skip
    text = capsys.readouterr().out
    assert code == 6
    assert "compared 1 profiles" in text
    assert "stream lacks it" in text
    assert f"offset {len(EVENTS) - 1} flush 0 log_id {len(EVENTS)} seen " in text


def test_the_command_exits_4_where_raw_cannot_be_read(tmp_path, at_week_2, capsys):
    """Nothing differs, and not everything was compared."""
    with World(tmp_path) as world:
        paths = world.raw(EVENTS)
        world.generation(EVENTS)
        world.stream(EVENTS)
        world.serve()
        damage_file(paths[0])
        everybody = [word for p in PROFILES for word in ("--profile", str(p))]
        code, report = run(world, *everybody, capsys=capsys)
    assert (code, report["findings"], report["counts"]["differing"]) == (4, [], 0)
    assert {one["reason"] for one in report["skipped"]} == {"rotten_file"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--every", "10m", "--profile", "1"], "--profile: not together with --every"),
        (["--profile", "1", "--sample", "3"], "--sample: not together with --profile"),
        (["--every", "often"], "--every often: expected a time"),
        (["--since", "yesterday"], "expected a date"),
        (["--profile", "-1"], r"--profile -1: expected 0..2^63-1"),
    ],
)
def test_flags_that_make_no_sense_are_refused(right, capsys, words, message):
    code, error = run(right, *words, capsys=capsys)
    assert code == 2
    assert message in error["message"]


def test_a_server_that_is_away_is_exit_8(right, at_week_2, capsys):
    code, error = run(right, "--address", "127.0.0.1:1", "--timeout-s", "0.5", "--profile", "1",
                      capsys=capsys)  # fmt: skip
    assert (code, error["error"]) == (8, "CallFailed")


def sample(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"impressions_reconcile_{name}", labels)


def test_the_service_goes_through_all_profiles_and_counts_them(right):
    """Round by round; a new process goes on where the one before ended."""
    rotation.file_of(right.settings).unlink(missing_ok=True)
    met = []

    def one_round(choose):
        def noted(raw, shards):
            chosen = choose(raw, shards)
            met.extend(profiles_of(chosen))
            return chosen

        return rounds.run_round(right.settings, right.client, right.clock, noted)

    for number in range(1, 5):
        own = Metrics(right.clock, rotation.read(right.settings, right.clock()))
        service.next_round(right.settings, right.clock, 3, one_round, own)
        assert sample(own, "profiles_total") == len(met) - (number - 1) * 3
        assert sample(own, "full_round_age_seconds") == 0
    assert sorted(met) == list(PROFILES)
    after = rotation.read(right.settings, right.clock())
    assert (after.full_profiles, after.profiles, after.shard) == (10, 0, 0)
    assert sample(own, "differing_total", answer="complete") == 0


def test_the_service_counts_what_differs_and_what_fails(wrong, monkeypatch):
    """A round that fails leaves its profiles to the next one."""
    own = Metrics(wrong.clock, rotation.read(wrong.settings, wrong.clock()))

    def one_round(choose):
        return rounds.run_round(wrong.settings, wrong.client, wrong.clock, choose)

    hidden = wrong.settings.catalog_file.rename(wrong.settings.home / "hidden")
    assert service.next_round(wrong.settings, wrong.clock, 100, one_round, own) is None
    assert sample(own, "failed_rounds_total") == 1
    hidden.rename(wrong.settings.catalog_file)
    done = service.next_round(wrong.settings, wrong.clock, 100, one_round, own)
    assert [finding.profile_id for finding in done.findings] == [STREAMED[-1][0]]
    assert sample(own, "differing_total", answer="complete") == 1
    assert sample(own, "named_events_total") == 1
    wrong.clock.advance(90_000)
    assert sample(own, "full_round_age_seconds") == 90


def test_a_state_that_cannot_be_read_begins_again(tmp_path, right):
    settings = right.settings.model_copy(update={"home": tmp_path})
    rotation.file_of(settings).write_text("{")
    assert rotation.read(settings, 5) == rotation.Rotation(5)
    rotation.write(settings, rotation.Rotation(5, 3, 42))
    assert rotation.read(settings, 9).place == choosing.Place(3, 42)


def test_named_profiles_stand_in_their_shards_once():
    chosen = choosing.named([7, 1, 7], 8)
    assert profiles_of(chosen) == [1, 7]
    assert all(isinstance(run, np.ndarray) for runs in chosen.values() for run in runs)
