"""Removing what dead attempts left in a generation's directory: SST files no manifest lists, and
small files that were not finished.

Only files that are old enough: an export under way lists its files at its very end, so its young
files look exactly like garbage. Anything else is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from impressions.formats import manifest as manifests
from impressions.formats.generation_paths import MANIFEST
from impressions.storage.directory import Directory, Stored

SWEEP_AGE_HOURS = 24.0
_HOUR_MS = 3_600_000
_UNFINISHED = re.compile(r"\.[a-z]+\.json\.\d+")  # what `Directory.replace` renames, or died over


def sweep_unlisted(
    directory: Directory, now_ms: int, age_hours: float, *, dry_run: bool = False
) -> list[str]:
    """Delete unlisted files older than `age_hours`; returns their paths.

    Raises:
        CorruptData: the manifest cannot be read, so nothing is known to be unlisted.
    """
    data = directory.read(MANIFEST)
    listed = set() if data is None else {file.path for file in manifests.decode(data).files}
    oldest_ms = round(now_ms - age_hours * _HOUR_MS)
    garbage = [file.path for file in unlisted(directory.list(), listed, oldest_ms)]
    if not dry_run:
        for path in garbage:
            directory.delete(path)
    return garbage


def unlisted(files: Iterable[Stored], listed: Set[str], oldest_ms: int) -> list[Stored]:
    """Those of dead attempts: last written by `oldest_ms`, and in no manifest."""
    return [
        file
        for file in files
        if (file.path.endswith(".sst") or _UNFINISHED.fullmatch(file.path))
        and file.path not in listed
        and file.modified_ms is not None
        and file.modified_ms <= oldest_ms
    ]
