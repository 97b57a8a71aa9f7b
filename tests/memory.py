"""The most memory that a process has had, as Linux says it of that process alone.

Not `ru_maxrss`: a child's begins with the peak of the process that started it.
"""

from __future__ import annotations

import re
from pathlib import Path


def peak_rss_bytes(pid: int | str = "self") -> int:
    """Of a process that runs."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, "a process that has ended says nothing"
    return int(found[1]) * 1024
