"""What the commits of a round did adds up, whatever became of the attempts around them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batch.lake.conflict import Conflict
from batch.landing import round as landing
from batch.landing.tally import COUNTS, Tally


def test_tallies_add_up() -> None:
    """Numbers are added, the newest snapshot stands, the most frequent reason comes first."""
    first = Tally(True, records=2, read=5, landed=4, rejected=1, commits=1, reasons={"a": 1})
    second = Tally(False, read=6, rejected=6, reasons={"b": 6}, snapshots={"raw": 2})
    both = Tally(snapshots={"raw": 1}) + first + second
    assert both.changed
    assert (both.records, both.read, both.landed, both.rejected) == (2, 11, 4, 7)
    assert list(both.reasons or {}) == ["b", "a"]
    assert both.snapshots == {"raw": 2}
    assert tuple(both.counts) == COUNTS


def test_without_a_landed_range_there_are_no_reasons() -> None:
    """The report then has no key for them."""
    assert (Tally(repaired=1) + Tally()).reasons is None


def test_a_commit_before_a_conflict_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows were repaired, then another lander came first: the step is repeated, the repair was."""
    attempts: list[int] = []

    def attempt(job: object, did: Callable[[Tally], None]) -> str:
        attempts.append(1)
        if len(attempts) == 1:
            did(Tally(changed=True, repaired=3))
            raise Conflict("another commit")
        did(Tally(changed=True, records=2, commits=1))
        return "after"

    monkeypatch.setattr(landing, "_attempt", attempt)
    after, done = landing._step(None)  # type: ignore[arg-type]
    assert (after, len(attempts)) == ("after", 2)
    assert (done.repaired, done.records, done.commits, done.changed) == (3, 2, 1, True)
