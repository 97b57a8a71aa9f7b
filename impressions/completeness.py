"""Whether an answer is everything it says it is, and if not, why.

Reasons are words of the contract: the wire's enum, the metric's label and the table a person reads
use the same. An answer with a reason still holds correct sums of what it holds; it is never
silently partial.
"""

from __future__ import annotations

from enum import Enum

from impressions.spec import Spec
from impressions.window import horizon_ms


class Incomplete(Enum):
    """Why an answer is not complete."""

    PAST_TAIL_HORIZON = "past_tail_horizon"
    """The query time is so far past the cutover that days have left the window unnoticed."""


def reasons(query_ms: int, cutover_ms: int, spec: Spec) -> tuple[Incomplete, ...]:
    """Why an answer at `query_ms` from this generation is not complete; () if it is."""
    if query_ms >= horizon_ms(cutover_ms, spec):
        return (Incomplete.PAST_TAIL_HORIZON,)
    return ()
