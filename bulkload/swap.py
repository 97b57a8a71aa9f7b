"""What an activation or a rollback did (or would do), and the errors that both can raise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from impressions.core.errors import Refused

if TYPE_CHECKING:
    from impressions.seam.findings import Findings

Action = Literal["activated", "already_active", "rolled_back", "would_activate", "would_roll_back"]


@dataclass(frozen=True)
class Swap:
    """A swap from `old` to `generation`, with `previous` as the new backup.

    Attributes:
        marked: generations that are now marked as rolled back.
        seam: what comparing the two found; None if they were not: of a rollback, or if it was
            active already.
    """

    action: Action
    generation: str
    old: str | None
    previous: str | None
    marked: tuple[str, ...] = field(default=())
    seam: Findings | None = None


def was_rolled_back(generation: str) -> Refused:
    """The error for a generation that carries the mark of a rollback."""
    return Refused(
        f"generation {generation} was rolled back from on this host",
        hint=f"impressions bulkload activate {generation} --even-if-rolled-back",
        reason="rolled_back",
    )
