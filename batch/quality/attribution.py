"""One fault shows in many segments: the findings of a day are narrowed to where it lies. Pure.

A fault of one app version is seen in that version, and thinner in the device types it runs on and
in the whole day. A fault of everything is as strong in every part. So, for each measure, from the
coarse to the fine:

    a part is found that deviates much more than its whole    the part, and not the whole
    no part does                                              the whole, and not its parts

What is much weaker than the strongest part that is left, or pooled beside one that has a name, is
the same fault seen from the side and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from batch.quality.findings import ABSOLUTE, Finding
from batch.quality.segments import Segment

_SAME_FAULT = (("dwell_median_s", "dwell_p99_s"), ("share_repeated", "share_again"))
"""Measures that show the same fault; the second is less exact."""
MORE = 1.4
WEAKER = 0.5
_MOST = 6.0  # of a logarithm; what is gone is not infinitely so


def narrowed(found: Sequence[Finding]) -> list[Finding]:
    """The findings of one day that say where its faults lie."""
    kept: list[Finding] = []
    for measure in sorted({one.measure for one in found}):
        mine = [one for one in found if one.measure == measure]
        kept += _where({one.segment: one for one in mine})
    for exact, vague in _SAME_FAULT:
        if any(one.measure == exact for one in kept):
            kept = [one for one in kept if one.measure != vague]
    return kept


def drifts_narrowed(found: Sequence[Finding]) -> list[Finding]:
    """Drifts of everything, and of parts that drift much more, or where everything does not."""
    whole = {one.measure: strength(one) for one in found if one.segment.is_all}
    return [
        one
        for one in found
        if one.segment.is_all
        or (not one.segment.is_pooled and strength(one) > MORE * whole.get(one.measure, 0.0))
    ]


def strength(finding: Finding) -> float:
    """How far it lies from what was expected: a difference of shares, or a logarithm."""
    if finding.measure == "hours_moved":
        return finding.found
    if finding.measure.startswith("share_"):
        return abs(finding.found - finding.expected)
    least = 1e-4 * max(finding.found, finding.expected, 1e-9)
    ratio = math.log(max(finding.found, least) / max(finding.expected, least))
    return min(abs(ratio), _MOST)


def _where(found: dict[Segment, Finding]) -> Iterable[Finding]:
    for size in (0, 1):
        for whole in [segment for segment in found if len(segment.grouping) == size]:
            parts = [one for one in found if one != whole and whole.holds(one)]
            own = strength(found[whole])
            stronger = [one for one in parts if strength(found[one]) > MORE * own]
            if found[whole].basis == ABSOLUTE:  # a bound, which says nothing of how strong it is
                stronger = []
            if [one for one in stronger if not one.is_pooled] or len(stronger) == 1 == len(parts):
                del found[whole]
            else:
                for part in parts:
                    del found[part]
                if whole.is_all:
                    return found.values()
    return _without_echoes(found.values())


def _without_echoes(found: Collection[Finding]) -> list[Finding]:
    strongest = max((strength(one) for one in found), default=0.0)
    named = [one for one in found if not one.segment.is_pooled]
    return [one for one in named or found if strength(one) >= WEAKER * strongest]
