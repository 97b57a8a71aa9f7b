"""Locations of Iceberg, and paths: `file:` and a path as it is.

No sign of it is an escape, a query or a fragment, as it would be in a URI: Iceberg's Java and ours
write `ingest_slot=2026-11-15T00%3A00%3A00` into names of directories.
"""

from __future__ import annotations

from pathlib import Path


def local_path(location: str) -> Path | None:
    """The absolute path of a local file; None for an object store."""
    if location.startswith("file:"):
        return Path("/" + location.removeprefix("file:").lstrip("/"))
    return None if "://" in location else Path(location).absolute()
