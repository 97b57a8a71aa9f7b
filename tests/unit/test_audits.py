"""The audits as functions of what was counted: each fails for its own reason, and no other does.

That Spark counts right, on branches that were really damaged: tests/faults/batch/test_audits.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from batch.compacting.audits import Facts, Sample, judge, require_ok, schema
from impressions.core.errors import AuditFailed
from impressions.core.spec import Spec
from impressions.settings.sections.batch import Audits

SPEC, LIMITS = Spec(), Audits()
SUMS = {
    0: {"impressions": 10, "plays": 3, "dwell_s": 20.5},
    1: {"impressions": 30, "plays": 0, "dwell_s": 7.0},
    2: {"impressions": 0, "plays": 0, "dwell_s": 0.0},
}
GOOD = Facts(
    raw=SUMS,
    ema=SUMS,
    entries={0: 4, 1: 9, 2: 0},
    bad_values={"plays": 0, "last_seen": 0},
    shrinking=0,
    repeated=0,
    misplaced=0,
    earlier_impressions=(38, 44),
)
SAME = Sample(profiles=3, differences=())
COLUMNS = [("profile_id", "bigint"), ("plays", "bigint")]


def failing(facts: Facts, sample: Sample = SAME) -> list[str]:
    return [finding.name for finding in judge(facts, sample, SPEC, LIMITS) if not finding.ok]


def moved(shard: int, **by: float) -> dict[int, dict[str, float]]:
    """The sums of the branch with those of one shard changed by so much."""
    changed = {name: value + by.get(name, 0) for name, value in SUMS[shard].items()}
    return SUMS | {shard: changed}


def test_what_is_as_it_should_be_passes() -> None:
    """Also with nothing to compare with, and with a sum in another order of its terms."""
    assert failing(GOOD) == []
    assert failing(replace(GOOD, earlier_impressions=())) == []
    assert failing(replace(GOOD, ema=moved(0, dwell_s=1e-12))) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"ema": moved(0, impressions=1)}, "conservation"),
        ({"ema": moved(0, impressions=-1)}, "conservation"),
        ({"ema": moved(1, plays=1)}, "conservation"),
        ({"ema": moved(1, dwell_s=0.01)}, "conservation"),
        ({"bad_values": {"plays": 0, "last_seen": 1}}, "values"),
        ({"shrinking": 1}, "half_lives"),
        ({"repeated": 1}, "unique_keys"),
        ({"entries": {0: 13, 1: 0, 2: 0}}, "shards"),
        ({"entries": {0: 4, 1: 8, 2: 1}}, "shards"),
        ({"misplaced": 1}, "partitioner"),
        ({"earlier_impressions": (1_000, 1_100, 9)}, "volume"),
        ({"earlier_impressions": (1,)}, "volume"),
    ],
)
def test_one_fault_fails_one_audit(change: dict[str, Any], name: str) -> None:
    assert failing(replace(GOOD, **change)) == [name]


def test_a_difference_from_the_recomputation_fails_sample() -> None:
    assert failing(GOOD, Sample(3, ["profile 7 title 1: plays 2, expected 1"])) == ["sample"]


def test_an_empty_window_fails_volume_without_earlier_generations() -> None:
    """Nothing equals nothing, so no other audit would notice."""
    none: dict[int, dict[str, float]] = {0: dict.fromkeys(SUMS[0], 0)}
    empty = replace(GOOD, raw=none, ema=none, entries={}, earlier_impressions=())
    assert failing(empty) == ["volume"]


@pytest.mark.parametrize(
    "found", [[*COLUMNS, ("note", "string")], COLUMNS[:1], COLUMNS[::-1], [("plays", "int")]]
)
def test_other_columns_than_those_of_the_spec_fail_schema(found: list[tuple[str, str]]) -> None:
    """One more, one less, another order, another type."""
    assert not schema(found, COLUMNS).ok
    assert schema(COLUMNS, COLUMNS).ok


def test_the_error_names_every_audit_that_failed_with_both_numbers() -> None:
    """The first of them is the reason."""
    findings = judge(replace(GOOD, ema=moved(1, plays=41), repeated=2), SAME, SPEC, LIMITS)
    with pytest.raises(AuditFailed) as caught:
        require_ok(findings, "2026-11-22", "drop it with: DROP BRANCH x")
    message = caught.value.message
    assert message.startswith("generation 2026-11-22 was not published. audit conservation: found")
    assert "plays 44," in message
    assert "plays 3," in message
    assert "audit unique_keys: found 2 repeated rows, expected 0" in message
    assert caught.value.reason == "audit_conservation"
    require_ok(judge(GOOD, SAME, SPEC, LIMITS), "2026-11-22", "")
