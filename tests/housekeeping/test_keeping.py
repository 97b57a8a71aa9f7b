"""What stays, and why: the rules by small numbers. Times are days here."""

from __future__ import annotations

from dataclasses import replace

from batch.housekeeping.keeping import (
    ENDED,
    OLD_GENERATION,
    Commits,
    depth_needed,
    generations_kept,
    refs_dropped,
    snapshots_dropped,
    sources_needed,
)
from batch.lake import snapshots
from batch.lake.cursor import Cursor, Landed
from batch.lake.generations import Generation, History
from batch.lake.snapshots import Snapshot, state_of
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import ref_name

LANDED = Landed("impressions", "ab" * 16, 1, 5, (Cursor(7, 6, 5),))
LAND_SAYS = snapshots.properties(snapshots.LAND, "r", 5) | LANDED.properties()
CLOSE_SAYS = snapshots.properties(snapshots.CLOSE, "r", 5)


def generation(day: int, source_id: int = 0) -> Generation:
    return Generation(1000 + day, day * DAY_MS, source_id, "d", "s", "r", 0, 1, {}, {"a": "ok"})


def published(*days: int, main: int | None = None) -> History:
    """Generations with these cutovers; the source of each is the snapshot 100 + day."""
    tagged = {day * DAY_MS: generation(day, 100 + day) for day in days}
    return History(tagged, None if main is None else generation(main, 100 + main))


def line(*said: dict[str, str], **refs: int) -> Commits:
    """Main's snapshots 1, 2, ... made on day 1, 2, ...; each says so much."""
    known = {n: Snapshot(n, n - 1 or None, "append", s) for n, s in enumerate(said, 1)}
    stamps = {n: n * DAY_MS for n in known}
    return Commits(known, stamps, {"main": len(said)} | refs)


def kept_days(known: History, keep: int, exported=(), on_hosts=()) -> set[int]:
    return {ms // DAY_MS for ms in generations_kept(known, keep, exported, on_hosts)}


def test_the_newest_generations_stay_whatever_their_age():
    assert kept_days(published(7, 14, 21, 28, main=28), 2) == {21, 28}
    assert kept_days(published(7, main=7), 2) == {7}
    assert kept_days(published(), 2) == set()


def test_a_generation_that_is_exported_or_on_a_host_or_mains_stays():
    known = published(7, 14, 21, 28, main=28)
    assert kept_days(known, 2, exported={"1970-01-08"}) == {7, 21, 28}
    assert kept_days(known, 2, on_hosts={"1970-01-15"}) == {14, 21, 28}
    assert kept_days(published(14, 21, 28, main=7), 2) == {7, 21, 28}


def test_the_refs_of_old_generations_go_in_both_tables():
    known = published(7, 14, main=14)
    refs = {ref_name(kind, day * DAY_MS): 1 for kind in ("gen", "src") for day in (7, 14)}
    commits = line({}, {}, **refs)
    dropped = refs_dropped(commits, known, {14 * DAY_MS}, 0)
    assert dropped == {"gen_1970_01_08": OLD_GENERATION, "src_1970_01_08": OLD_GENERATION}


def test_branches_go_once_they_are_older_than_they_were_to_be_kept():
    """Main left snapshot 1 on day 2; 14 days later is day 16."""
    known = published(7, main=7)
    for name in ("audit_1970_01_08", "src_1970_01_15"):
        commits = replace(line({}, {}, {}, **{name: 1}), retain_ms={name: 14 * DAY_MS})
        assert refs_dropped(commits, known, {7 * DAY_MS}, 16 * DAY_MS - 1) == {}
        assert refs_dropped(commits, known, {7 * DAY_MS}, 16 * DAY_MS) == {name: ENDED}


def test_a_branch_at_mains_newest_or_at_a_source_stays():
    """It holds nothing more than what stays, and a compact may be reading it."""
    known = History({7 * DAY_MS: generation(7, 1)}, None)
    for at in (1, 3):
        commits = line({}, {}, {}, audit_1970_01_08=at)
        assert refs_dropped(commits, known, {7 * DAY_MS}, 99 * DAY_MS) == {}


def test_refs_of_others_stay():
    for name in ("audit_shop", "src_me", "analysis", "gen_1970", "audit_1970_13_01"):
        commits = line({}, {}, **{name: 1})
        retained = replace(commits, retain_ms={name: 1})
        assert refs_dropped(retained, published(7, main=7), {7 * DAY_MS}, 999 * DAY_MS) == {}


def test_a_branch_that_does_not_say_how_long_goes_after_fourteen_days():
    """As one does that pyiceberg has committed to."""
    commits = line({}, {}, audit_1970_01_08=1)
    assert refs_dropped(commits, published(), (), 16 * DAY_MS - 1) == {}
    assert refs_dropped(commits, published(), (), 16 * DAY_MS) == {"audit_1970_01_08": ENDED}


def test_a_snapshot_goes_once_main_has_been_past_it_for_long_enough():
    """Snapshot 1 was main's until day 2, 2 until day 3; 3 is main's."""
    commits = line(LAND_SAYS, LAND_SAYS, LAND_SAYS)
    assert snapshots_dropped(commits, (), (), 14 * DAY_MS, 16 * DAY_MS - 1) == set()
    assert snapshots_dropped(commits, (), (), 14 * DAY_MS, 16 * DAY_MS) == {1}
    assert snapshots_dropped(commits, (), (), 14 * DAY_MS, 17 * DAY_MS) == {1, 2}
    assert snapshots_dropped(commits, (), (), 14 * DAY_MS, 9999 * DAY_MS) == {1, 2}


def test_a_snapshot_that_is_named_or_needed_stays():
    commits = line(LAND_SAYS, LAND_SAYS, LAND_SAYS, gen_1970_01_08=1)
    assert snapshots_dropped(commits, (), (), 0, 9999 * DAY_MS) == {2}
    assert snapshots_dropped(commits, {"gen_1970_01_08"}, (), 0, 9999 * DAY_MS) == {1, 2}
    assert snapshots_dropped(commits, {"gen_1970_01_08"}, {2}, 0, 9999 * DAY_MS) == {1}


def test_a_branch_keeps_its_way_back_to_main():
    """Else a fast-forward of main to it would find no common ancestor."""
    commits = line(LAND_SAYS, LAND_SAYS)
    known = dict(commits.known) | {8: Snapshot(8, 2, "append", {}), 9: Snapshot(9, 8, "append", {})}
    stamps = dict(commits.stamps_ms) | {8: 8, 9: 9}
    branched = Commits(known, stamps, commits.refs | {"audit": 9}, frozenset({"main", "audit"}))
    assert snapshots_dropped(branched, (), (), 0, 9999 * DAY_MS) == {1}
    assert snapshots_dropped(branched, {"audit"}, (), 0, 9999 * DAY_MS) == {1, 8, 9}


def test_what_main_says_is_kept_down_to_the_landing_without_a_gap():
    """Commits of close, and of somebody else, lie on top of the landing that says the offsets."""
    commits = line(LAND_SAYS, LAND_SAYS, CLOSE_SAYS, {}, CLOSE_SAYS)
    assert depth_needed(commits) == 4
    gone = snapshots_dropped(commits, (), (), 0, 9999 * DAY_MS)
    assert gone == {1}
    left = {n: one for n, one in commits.known.items() if n not in gone}
    assert state_of(left, 5) == state_of(commits.known, 5)
    assert state_of(left, 5).landed == LANDED


def test_a_table_that_says_nothing_needs_its_newest_only():
    """As ema does, whose generations are named by tags."""
    assert depth_needed(line({}, {}, {})) == 1
    assert depth_needed(Commits({}, {}, {})) == 0


def test_the_source_of_what_stays_is_needed_though_its_tag_is_gone():
    assert sources_needed(published(7, 14, main=14), {14 * DAY_MS}) == {114}
