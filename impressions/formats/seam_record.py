"""What an activation found when it compared a generation with the one before; it stays on the host.

    seam.json := sealed {"format": 1, the fields of `SeamRecord`}

It lies beside `loaded.json`, is written before the pointer moves, and is replaced by the next
activation of the same generation. Differences that a person accepted stay readable here for as long
as the generation is on the host.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from impressions.core.errors import CorruptData
from impressions.formats import sealed

VERSION = 1
_AGAIN = "impressions bulkload activate <generation> writes it again"


@dataclass(frozen=True)
class SeamRecord:
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


def encode(record: SeamRecord) -> bytes:
    """The bytes of `seam.json`."""
    return sealed.seal({"format": VERSION, **asdict(record)})


def decode(data: bytes) -> SeamRecord:
    """Read `seam.json`.

    Raises:
        CorruptData, FormatVersionError: damaged, or of another version; the hint says what to do.
    """
    try:
        body = sealed.unseal(data, "seam.json")
    except CorruptData as error:
        raise CorruptData(error.message, hint=_AGAIN) from None
    sealed.check_version(body, "seam.json", VERSION, _AGAIN)
    return sealed.as_record(SeamRecord, body, "seam.json")
