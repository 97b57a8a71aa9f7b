"""The gate before a swap: a generation that answers other than the active one is not activated.

Both are asked with the host's deltas (impressions/seam), so they hold the same events and must
answer alike. Where they do not, one of them is wrong, and only a person can tell which: the swap is
refused, with what differs, until it is accepted with a reason. The reason is kept on the host, in
`seam.json` of the generation. What cannot be compared is said, and does not stop a swap. A rollback
is not compared: it leads away from what is wrong.

The sample is fixed by the two generations and the name of the host: a scheduler that tries again
draws the same profiles, and is not let through by luck, while replicas draw others.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from bulkload.files import write_durably
from bulkload.host import Host
from bulkload.loaded_generations import LoadedGeneration
from impressions.core.errors import CorruptData, ImpressionsError, Refused, UsageError
from impressions.formats.seam_record import SeamRecord, printable
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from impressions.seam.findings import Findings

_SHOWN = 5
"""Differences in the message of a refusal; `--json` has more."""


class SeamDiffers(Refused):
    """Two generations that must answer alike do not.

    Attributes:
        findings: what was found.
    """

    reason = "seam_differs"

    def __init__(self, findings: Findings):
        super().__init__(
            "\n".join(_message(findings)),
            hint=f"if {findings.new} is right: impressions bulkload activate {findings.new} "
            '--accept-difference "<why>"; docs/runbook/seam-differs.md says how to tell',
        )
        self.findings = findings

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "seam": asdict(self.findings)}


def checked_reason(accept: str | None) -> str | None:
    """The reason of an acceptance. Raises UsageError if it is no text."""
    if accept is not None and not accept.strip():
        raise UsageError("--accept-difference: found no text, expected why the swap is right")
    return accept


def pass_seam(
    host: Host,
    old: str | None,
    loaded: LoadedGeneration,
    settings: Settings,
    now_ms: int,
    accept: str | None,
) -> Findings:
    """Compare the active generation with the one that is to be activated.

    Args:
        old: the active one, if any.
        accept: why differences are accepted.

    Raises:
        SeamDiffers: they differ, and nobody accepted it.
        CorruptData: the new generation cannot be read.
    """
    findings = _compared(host, old, loaded, settings, now_ms)
    if not findings.differing:
        return findings
    if accept is None:
        raise SeamDiffers(findings)
    return replace(findings, accepted=accept)


def write_record(host: Host, findings: Findings, at_ms: int) -> None:
    """Keep what was found beside the generation; the caller holds the pointer lock."""
    accepted = None if findings.accepted is None else printable(findings.accepted)
    record = SeamRecord(
        generation=findings.new,
        old=findings.old,
        activated_ms=at_ms,
        query_ms=findings.query_ms,
        seed=findings.seed,
        planned=findings.planned,
        compared=findings.compared,
        differing=findings.differing,
        values=findings.values,
        skipped=tuple(printable(str(skip)) for skip in findings.skipped),
        differences=tuple(map(str, findings.differences)),
        accepted=accepted,
    )
    write_durably(host.paths.seam(findings.new), record.encode())


def _compared(
    host: Host, old: str | None, loaded: LoadedGeneration, settings: Settings, now_ms: int
) -> Findings:
    from impressions.seam.comparable import Skip
    from impressions.seam.comparison import compare
    from impressions.seam.findings import not_compared
    from impressions.seam.sides import LoadedSide

    def side(of: LoadedGeneration) -> LoadedSide:
        return LoadedSide(of.manifest, host.paths.store(of.generation), of.record.shards)

    new = loaded.generation
    if old is None:
        return not_compared(None, new, 0, Skip("nothing_active", "no generation is active"), 0.0)
    try:
        active = host.generations.read(old)
    except ImpressionsError as error:  # damaged, or removed by hand: a swap may be the repair
        return not_compared(old, new, 0, Skip("old_unreadable", error.message), 0.0)
    try:
        return compare(side(active), side(loaded), settings, now_ms, _seed(active, loaded))
    except CorruptData as error:
        again = f"impressions bulkload load {new} --again"
        raise CorruptData(f"generation {new}: {error.message}", hint=again) from error


def _seed(old: LoadedGeneration, new: LoadedGeneration) -> int:
    """The same for the same two generations on the same host."""
    text = old.manifest_bytes + new.manifest_bytes + platform.node().encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def _message(findings: Findings) -> list[str]:
    shown = replace(findings, differences=findings.differences[:_SHOWN])
    answers = f"generation {findings.new} answers other than {findings.old} does with its deltas"
    return [answers, *shown.lines()]
