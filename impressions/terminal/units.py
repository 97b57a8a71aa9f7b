"""Sizes, durations and times as a person reads them."""

from __future__ import annotations

import datetime as dt


def human_bytes(size: float) -> str:
    """`1536` -> `1.5 KiB`."""
    if abs(size) < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if abs(size) < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} PiB"


def human_age(seconds: float) -> str:
    """A duration in its two largest units: `93784` -> `1 d 2 h`; under a minute `4.2 s`."""
    if seconds < 0:
        return f"-{human_age(-seconds)}"
    if seconds < 60:
        return f"{seconds:.1f} s"
    sizes = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in sizes:
        if rest >= size or parts:
            parts.append(f"{rest // size} {unit}" if rest // size else "")
            rest %= size
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part)


def human_time(at_ms: int) -> str:
    """Milliseconds since 1970 as `2026-11-15 00:00:00Z`."""
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
