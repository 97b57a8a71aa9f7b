"""What an activation found when it compared a generation with the one before; it stays on the host.

    seam.json := sealed {"format": 1, the fields of `SeamRecord`}

It lies beside `loaded.json`, is written before the pointer moves, and is replaced by the next
activation of the same generation. Differences that a person accepted stay readable here for as long
as the generation is on the host.
"""

from __future__ import annotations

from dataclasses import dataclass

from impressions.formats.generation_paths import SEAM
from impressions.formats.sealed import SealedRecord


@dataclass(frozen=True)
class SeamRecord(SealedRecord):
    """A comparison, in counts and lines of text (printable ASCII).

    Attributes:
        generation, old: what was activated; what answered until then, None if nothing did.
        activated_ms, query_ms, seed: when; for which query time, None if nothing was compared; of
            which sample.
        planned, compared, differing, values: profiles, profiles, profiles, and numbers.
        skipped: what was not compared, and why.
        differences: the first of them.
        accepted: why a person let it be activated in spite of them; None where there were none.
    """

    FILE, AGAIN = SEAM, "impressions bulkload activate <generation> writes it again"

    generation: str
    old: str | None
    activated_ms: int
    query_ms: int | None
    seed: int
    planned: int
    compared: int
    differing: int
    values: int
    skipped: tuple[str, ...]
    differences: tuple[str, ...]
    accepted: str | None

    def __str__(self) -> str:
        if self.accepted is not None:
            return f"{self.differing} of {self.compared} differ, accepted: {self.accepted}"
        if not self.compared:
            return f"not compared: {', '.join(skip.split(':')[0] for skip in self.skipped)}"
        return f"{self.compared} of {self.planned} alike"


def printable(text: str) -> str:
    """Any text as printable ASCII, other characters as escapes."""
    return "".join(
        c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
