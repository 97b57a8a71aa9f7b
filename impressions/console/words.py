"""Numbers, times and ages in words, as the templates use them."""

from __future__ import annotations

import math

from impressions.terminal.units import human_age, human_bytes, human_time

SIGNS = {"ok": "✓", "none": "–", "look": "!", "bad": "✕"}
STATES = {"ok": "well", "none": "not there", "look": "look", "bad": "broken"}
"""The states of impressions/status/stage.py, for people."""


def number(value: float | None) -> str:
    """As short as a person reads it; `-` for what is not known."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def time(at_ms: int | None) -> str:
    return "-" if at_ms is None or at_ms <= 0 else human_time(at_ms)


def age(seconds: float | None) -> str:
    """`4.2 s`; `-` for what is not known."""
    return "-" if seconds is None else human_age(max(0.0, seconds))


def ago(at_ms: int, then_ms: int | None) -> str:
    return "-" if then_ms is None or then_ms <= 0 else f"{age((at_ms - then_ms) / 1000)} ago"


def hint(text: str) -> tuple[str, str]:
    """What a line that helps says, and the command at its end, if there is one."""
    said, name, command = text.partition("impressions ")
    is_command = name and (not said or said[-1] in " :")
    return (said, name + command) if is_command else (text, "")


def size(count: int | None) -> str:
    return "-" if count is None else human_bytes(count)
