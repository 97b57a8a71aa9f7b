"""Whether an export is complete, and whether a generation that is there is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from batch.exporting.job import Exporting
from batch.lake.generations import Generation
from impressions.core.errors import CorruptData, Refused
from impressions.core.spec import PARTITIONER
from impressions.formats import manifest as manifests
from impressions.formats.generation_paths import MANIFEST
from impressions.formats.manifest import Manifest, SstFile
from impressions.storage.directory import shown

if TYPE_CHECKING:
    from batch.exporting.shards import Written


def manifest_of(
    job: Exporting, generation: Generation, entries: Mapping[int, int], written: Sequence[Written]
) -> Manifest:
    """The manifest of what was written, once that is known to be everything."""
    listed = [file for part in written for file in part.files]
    files = tuple(sorted(listed, key=lambda file: (file.shard, file.min_key)))
    check_complete(files, {part.shard: part.entries for part in written if part.entries}, entries)
    return Manifest(
        generation=job.name,
        cutover_ms=job.cutover_ms,
        spec_fingerprint=job.settings.spec.fingerprint,
        partitions=job.settings.partitions,
        partitioner=PARTITIONER,
        raw_snapshot_id=generation.source_id,
        ema_snapshot_id=generation.snapshot_id,
        profiles=sum(file.rows for file in files),
        entries=sum(entries.values()),
        created_ms=job.clock(),
        files=files,
        history_until_ms=generation.history_until_ms,
        accepted=generation.accepted,
        compared=generation.audits.get("incremental", ""),
    )


def check_complete(
    files: Sequence[SstFile], written: Mapping[int, int], expected: Mapping[int, int]
) -> None:
    """Refuse an export that is not the complete table.

    Args:
        files: ascending by (shard, min_key).
        written, expected: shard -> rows of the table; shards without rows are left out.
    """
    if written != expected:
        wrong = sorted(s for s in {*written, *expected} if written.get(s) != expected.get(s))
        raise Refused(
            f"shard {wrong[0]}: {written.get(wrong[0], 0)} rows of the table were written, "
            f"expected {expected.get(wrong[0], 0)} ({len(wrong)} shards differ)",
            reason="incomplete_export",
        )
    without_file = sorted(expected.keys() - {file.shard for file in files})
    if without_file:
        raise Refused(f"shards {without_file} have rows but no file", reason="incomplete_export")
    for one, other in pairwise(files):
        if one.shard == other.shard and one.max_key >= other.min_key:
            raise Refused(
                f"{one.path} ends at key {one.max_key} and {other.path} begins at "
                f"{other.min_key}: expected disjoint ranges",
                reason="overlapping_files",
            )


def manifest_there(job: Exporting) -> Manifest | None:
    """The manifest that is in the directory; None where there is none.

    Raises:
        CorruptData: it is not readable.   Refused: it was made with other settings.
    """
    data = job.target.read(MANIFEST)
    if data is None:
        return None
    try:
        there = manifests.decode(data, f"{shown(job.uri)}/{MANIFEST}")
    except CorruptData as error:
        raise CorruptData(
            error.message, hint="impressions export --force writes it again"
        ) from None
    manifests.check_fits(there, job.settings.spec, job.settings.partitions)
    return there


def require_same(there: Manifest, made: Manifest) -> None:
    """Refused unless both manifests list the same content."""
    if there.content == made.content and there.cutover_ms == made.cutover_ms:
        return
    differ = len(set(there.content) ^ set(made.content))
    raise Refused(
        f"generation {made.generation} is exported already with other content: {differ} files "
        f"differ (made from ema snapshot {there.ema_snapshot_id}, now {made.ema_snapshot_id})",
        hint="hosts may have loaded it; `export --force` replaces it all the same",
        reason="content_differs",
    )


def require_files(job: Exporting, there: Manifest) -> None:
    """Refused if a listed file is gone or has another size."""
    sizes = {stored.path: stored.size_bytes for stored in job.target.list()}
    for file in there.lacking(sizes):
        raise Refused(
            f"{shown(job.uri)}/{file.path}: {sizes.get(file.path, 'no')} bytes, "
            f"expected {file.size_bytes}",
            hint="impressions export --force writes the generation again",
            reason="missing_file",
        )
