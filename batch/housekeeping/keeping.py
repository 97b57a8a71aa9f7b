"""What stays of generations, refs and snapshots, and why. Pure; times in ms.

A generation stays if it is one of the newest, is main's, is exported still, or is the one that a
known host answers from or would roll back to. With it stays the snapshot of raw that it was
computed from: so `compact --recompute` and the same date again find what they need.

Refs that this system made go: `gen_` and `src_` of generations that do not stay; `audit_` branches,
and `src_` tags without a generation, once they are older than the RETAIN they were made with (14
and 90 days). A branch right at a source that stays is left: it holds nothing
more, and a recompute may read it. The refs of others, and whatever they name, stay.

A snapshot goes once main has been past it for as long as the setting says, but never

    one that a ref names; of a branch, none between its head and main
    the source of a generation that stays
    the newest ones of main, down to the oldest that is needed for what main says about itself:
    offsets, valid-through, whether others committed since (batch/lake/snapshots.py). They stay
    without a gap, for what a table says is found by walking from commit to commit
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from batch.lake.generations import Generation, History
from batch.lake.refs import BRANCH_DAYS, TAG_DAYS
from batch.lake.snapshots import MAIN, Snapshot, ancestry, state_of
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import is_generation, ref_name

OLD_GENERATION = "its generation is older than those that stay"
ENDED = "it is older than it was to be kept"
_RETAIN_DAYS = {"audit": BRANCH_DAYS, "src": TAG_DAYS}


@dataclass(frozen=True)
class Commits:
    """What a table's metadata says of its snapshots.

    Attributes:
        known: by id.   stamps_ms: when each was made, as its writer says.
        refs: name -> snapshot.   branches: those of them that are no tags.
        retain_ms: ref -> how long it is to be kept, of those that say so.
    """

    known: Mapping[int, Snapshot]
    stamps_ms: Mapping[int, int]
    refs: Mapping[str, int]
    branches: frozenset[str] = frozenset()
    retain_ms: Mapping[str, int] = field(default_factory=dict)

    @property
    def main(self) -> list[Snapshot]:
        """Main's commits, newest first."""
        return list(ancestry(self.known, self.refs.get(MAIN)))

    def past_ms(self) -> dict[int, int]:
        """Snapshot -> since when main is past it; of one that main never showed, or that it left
        by a rollback, when it was made. Main's newest has none."""
        line = self.main
        since = dict(self.stamps_ms)
        for newer, older in pairwise(line):
            since[older.id] = max(self.stamps_ms[newer.id], self.stamps_ms[older.id])
        if line:
            del since[line[0].id]
        return since


def generations_kept(
    known: History, keep: int, exported: Collection[str], on_hosts: Collection[str]
) -> dict[int, str]:
    """Cutover -> why it stays, of the published generations."""
    newest = sorted(known.tagged, reverse=True)[:keep]
    why = dict.fromkeys(newest, f"one of the {keep} newest")
    for cutover, generation in known.tagged.items():
        if generation.name in on_hosts:
            why.setdefault(cutover, "a host answers from it, or would roll back to it")
        if generation.name in exported:
            why.setdefault(cutover, "it is exported")
    if known.main is not None:
        why.setdefault(known.main.cutover_ms, "main shows it")
    return why


def sources_needed(known: History, kept: Collection[int]) -> set[int]:
    """Snapshots of raw that the generations that stay were computed from."""
    return {generation.source_id for generation in _all(known) if generation.cutover_ms in kept}


def refs_dropped(
    commits: Commits, known: History, kept: Collection[int], now_ms: int
) -> dict[str, str]:
    """Ref -> why it goes, of either table."""
    sources = sources_needed(known, kept)
    published = {generation.cutover_ms for generation in _all(known)}
    old = {
        ref_name(kind, cutover): OLD_GENERATION
        for cutover in published - set(kept)
        for kind in ("gen", "src")
    }
    ours = {ref_name("src", cutover) for cutover in published}
    past = commits.past_ms()
    dropped = {}
    for name, at in commits.refs.items():
        if name in old:
            dropped[name] = old[name]
        elif name not in ours and (days := _retain_days(name)):
            since_ms = None if at in sources else past.get(at)
            retain_ms = commits.retain_ms.get(name, days * DAY_MS)
            if since_ms is not None and since_ms + retain_ms <= now_ms:
                dropped[name] = ENDED
    return dropped


def snapshots_dropped(
    commits: Commits,
    dropped_refs: Collection[str],
    needed: Iterable[int],
    keep_ms: int,
    now_ms: int,
) -> set[int]:
    """Snapshots that go, once the refs are dropped.

    Args:
        needed: that stay whatever their age.
    """
    stay = set(needed)
    line = commits.main
    of_main = {commit.id for commit in line}
    stay |= {commit.id for commit in line[: depth_needed(commits)]}
    for name, at in commits.refs.items():
        if name in dropped_refs:
            continue
        stay.add(at)
        if name in commits.branches and name != MAIN:
            for commit in ancestry(commits.known, at):
                if commit.id in of_main:
                    break
                stay.add(commit.id)
    past = commits.past_ms()
    return {
        one
        for one in commits.known
        if one not in stay and one in past and past[one] + keep_ms <= now_ms
    }


def depth_needed(commits: Commits) -> int:
    """How many of main's newest commits say all that main's commits say together."""
    line = commits.main
    if not line:
        return 0
    said = state_of(commits.known, line[0].id)

    def says_all(depth: int) -> bool:
        newest = {commit.id: commit for commit in line[:depth]}
        return state_of(newest, line[0].id) == said

    return bisect_left(range(1, len(line) + 1), True, key=says_all) + 1


def _retain_days(ref: str) -> int | None:
    """Of a ref that a compact makes and that ends; None for any other."""
    kind, _, generation = ref.partition("_")
    return _RETAIN_DAYS.get(kind) if is_generation(generation.replace("_", "-")) else None


def _all(known: History) -> Sequence[Generation]:
    return [*known.tagged.values(), *([known.main] if known.main else [])]
