"""`impressions doctor --short`: one line per area where all is well, and every check that is not.

packages    Python and the extras that are installed
java        Java, and the jars of Spark and Kafka
disk        where state, caches and generations go, and what is free
network     the port of the server, the broker and its topics
clock       set and steady
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impressions.cli.doctor import Check

_AREAS = {
    "packages": ("python", "extra ", "user"),
    "java": ("java", "jars", "kafka jars", "spark"),
    "disk": ("cache directory", "state directory", "free disk", "catalog", "generations"),
    "network": ("port", "broker"),
    "clock": ("clock",),
}
"""Area -> how the names of its checks begin."""
_SHOWN = {
    "python": "Python ", "java": "Java ", "jars": "jars of Spark: ", "kafka jars": "of Kafka: ",
    "free disk": "", "port": "", "broker": "", "clock": "",
}  # fmt: skip
"""Checks whose findings stand in the line of their area -> what stands before them."""


def short_lines(checks: Sequence[Check]) -> list[str]:
    """A line per area; a check that needs a fix has its own line, and the fix below it."""
    lines = []
    for area in _AREAS:
        own = [check for check in checks if area_of(check.name) == area]
        wrong = [check for check in own if check.state == "fix"]
        if own and not wrong:
            lines.append(f"ok    {area:<8}  {_summary(own)}")
        for check in wrong:
            lines.append(f"fix   {area:<8}  {check.name}: {check.found}")
            if check.fix:
                lines.append(f"      {'':<8}  -> {check.fix}")
    return lines


def area_of(check: str) -> str:
    """The area of a check, by its name."""
    return next(area for area, begins in _AREAS.items() if check.startswith(begins))


def _summary(checks: Sequence[Check]) -> str:
    """What was found, without the paths."""
    shown = [
        _SHOWN[check.name] + check.found.split(" in /")[0]
        for check in checks
        if check.name in _SHOWN and check.state == "ok"
    ]
    extras = [check for check in checks if check.name.startswith("extra ")]
    if extras:
        installed = sum(check.state == "ok" for check in extras)
        shown.append(f"{installed} of {len(extras)} extras, at the pinned versions")
    return "; ".join(shown) or "nothing to check here"
