"""Names and texts of files for people: they may hold anything, a message must be printable."""

from __future__ import annotations

import os
from pathlib import Path


def printable(path: Path | str) -> str:
    """The path as text that every terminal, table and JSON takes; bytes that are no UTF-8 as \\xNN.

    Line breaks and other controls are written as escapes too: a name must not forge a line.
    """
    return one_line(os.fsencode(path).decode("utf-8", "backslashreplace"))


def one_line(text: str) -> str:
    """Any text of a file on one line, controls as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
