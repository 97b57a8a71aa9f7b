"""Drawings as SVG, made of elements, so that every text in them is escaped by the library.

Colours are classes of static/console.css, which knows light and dark; a drawing has no style of its
own, because the pages forbid it. Each has a title for those who do not see it, and the numbers also
stand in a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from impressions.console.scales import Scale, decayed, points, segments, share, ticks
from impressions.console.words import number

WIDTH, HEIGHT = 1080.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 14.0, 30.0
_DATES = 6  # along the axis, at most


@dataclass(frozen=True)
class Mark:
    """A finding in a chart of days: [first, last] as indices, both included.

    Attributes:
        kind: the class: `blocks`, `named` or `accepted`.
        expected: what was expected on the first day.
    """

    first: int
    last: int
    kind: str
    text: str
    expected: float


def days_chart(
    title: str, days: Sequence[str], values: Sequence[float], marks: Sequence[Mark]
) -> str:
    """A value of each day as a line, days with findings as bands with their expected value."""
    known = [v for v in values if not math.isnan(v)]
    known += [mark.expected for mark in marks if math.isfinite(mark.expected)]
    labels = ticks(min([0.0, *known]), max(known, default=1.0))
    x = Scale(0, max(1, len(days) - 1), LEFT, WIDTH - RIGHT)
    y = Scale(labels[0], labels[-1], HEIGHT - BOTTOM, TOP)
    svg = _svg(title)
    for mark in marks:
        _band(svg, mark, x)
    _left_axis(svg, labels, y)
    for i in range(0, len(days), max(1, math.ceil(len(days) / _DATES))):
        kind = "axis end" if i == len(days) - 1 else "axis middle"
        _text(svg, days[i][5:], x(i), HEIGHT - 10, kind)
    for run in segments(values):
        line = points([(x(i), y(values[i])) for i in run])
        ET.SubElement(svg, "polyline", {"class": "line", "points": line})
        if len(run) == 1:
            _dot(svg, x(run[0]), y(values[run[0]]), "dot", days[run[0]], values[run[0]])
    for mark in marks:
        _expected(svg, mark, x, y)
        for i in range(mark.first, mark.last + 1):
            if not math.isnan(values[i]):
                _dot(svg, x(i), y(values[i]), f"dot {mark.kind}", days[i], values[i])
    return _as_text(svg)


def decay_chart(title: str, sums: Mapping[int, float], last_day: int) -> str:
    """A curve for each half-life: what is left of today's sum, day by day, if nothing is added."""
    axis = [day * last_day / 120 for day in range(121)]
    labels = ticks(0.0, max([*sums.values(), 1e-9]))
    x = Scale(0, last_day, LEFT, WIDTH - RIGHT - 52)
    y = Scale(labels[0], labels[-1], HEIGHT - BOTTOM, TOP)
    svg = _svg(title)
    _left_axis(svg, labels, y)
    for day in ticks(0, last_day, 6):
        if day <= last_day:
            _text(svg, f"{day:g} d", x(day), HEIGHT - 10, "axis middle")
    ends: list[float] = []
    for i, (days, sum_now) in enumerate(sorted(sums.items())):
        left = decayed(sum_now, days, axis)
        line = points([(x(day), y(value)) for day, value in zip(axis, left, strict=True)])
        curve = ET.SubElement(svg, "polyline", {"class": f"line curve{i}", "points": line})
        ET.SubElement(curve, "title").text = f"half-life {days} d: {number(sum_now)} now"
        ends.append(y(left[-1]))
    for i, (days, at) in enumerate(zip(sorted(sums), apart(ends, 14.0), strict=True)):
        _text(svg, f"{days} d", WIDTH - RIGHT - 46, at + 4, f"label curve{i}")
    return _as_text(svg)


def bar(value: float, largest: float, kind: str) -> str:
    """A bar as wide as its cell for the largest value; the number stands beside it as text."""
    svg = ET.Element(
        "svg", {"class": "bar", "viewBox": "0 0 100 10", "preserveAspectRatio": "none"}
    )
    svg.set("aria-hidden", "true")
    width = f"{share(value, largest):.2f}"
    ET.SubElement(svg, "rect", {"class": kind, "width": width, "height": "10"})
    return _as_text(svg)


def apart(places: Sequence[float], least: float) -> list[float]:
    """The same places, moved up from the lowest on so that labels do not cover each other."""
    moved = list(places)
    below = math.inf
    for i in sorted(range(len(places)), key=lambda i: -places[i]):
        moved[i] = min(places[i], below - least)
        below = moved[i]
    return moved


def _svg(title: str) -> ET.Element:
    svg = ET.Element("svg", {"class": "chart", "viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}"})
    svg.set("role", "img")
    svg.set("aria-label", title)
    ET.SubElement(svg, "title").text = title
    return svg


def _left_axis(svg: ET.Element, labels: Sequence[float], y: Scale) -> None:
    for label in labels:
        at = f"{y(label):.1f}"
        ET.SubElement(
            svg, "line",
            {"class": "grid", "x1": f"{LEFT:g}", "x2": f"{WIDTH - RIGHT:g}", "y1": at, "y2": at},
        )  # fmt: skip
        _text(svg, number(label), LEFT - 8, y(label) + 4, "axis end")


def _band(svg: ET.Element, mark: Mark, x: Scale) -> None:
    half = max(3.0, (x(1) - x(0)) / 2)
    start = x(mark.first) - half
    rect = ET.SubElement(
        svg, "rect",
        {"class": f"band {mark.kind}", "x": f"{start:.1f}", "y": f"{TOP:g}",
         "width": f"{x(mark.last) + half - start:.1f}", "height": f"{HEIGHT - TOP - BOTTOM:g}"},
    )  # fmt: skip
    ET.SubElement(rect, "title").text = mark.text


def _expected(svg: ET.Element, mark: Mark, x: Scale, y: Scale) -> None:
    if not math.isfinite(mark.expected):
        return
    at = f"{y(mark.expected):.1f}"
    ET.SubElement(
        svg, "line",
        {"class": "expected", "x1": f"{x(mark.first) - 7:.1f}", "x2": f"{x(mark.last) + 7:.1f}",
         "y1": at, "y2": at},
    )  # fmt: skip


def _dot(svg: ET.Element, x: float, y: float, kind: str, day: str, value: float) -> None:
    dot = ET.SubElement(
        svg, "circle", {"class": kind, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "4"}
    )
    ET.SubElement(dot, "title").text = f"{day}: {number(value)}"


def _text(svg: ET.Element, text: str, x: float, y: float, kind: str) -> None:
    ET.SubElement(svg, "text", {"class": kind, "x": f"{x:.1f}", "y": f"{y:.1f}"}).text = text


def _as_text(svg: ET.Element) -> str:
    return ET.tostring(svg, encoding="unicode")
