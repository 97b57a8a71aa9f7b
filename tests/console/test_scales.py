"""Drawings: numbers become places, places become elements, and no number is lost on the way."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest

from impressions.console.charts import Mark, apart, bar, days_chart, decay_chart
from impressions.console.scales import Scale, decayed, segments, share, ticks


def test_a_scale_is_a_line_also_downwards() -> None:
    """SVG counts from the top, so the axis of values runs against it."""
    down = Scale(0, 100, 230, 14)
    assert (down(0), down(50), down(100)) == (230, 122, 14)
    assert Scale(5, 5, 0, 10)(5) == 5


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 5, 10]),
        (0, 0.4, [0, 0.1, 0.2, 0.3, 0.4]),
        (0, 1234, [0, 500, 1000, 1500]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0, 0, [0, 0.5, 1]),
    ],
)
def test_ticks_are_round_and_hold_all_values(
    low: float, high: float, expected: list[float]
) -> None:
    assert ticks(low, high) == expected


def test_a_gap_in_the_days_is_a_gap_in_the_line() -> None:
    assert segments([1, 2, math.nan, 4, math.nan]) == [[0, 1], [3]]


def test_a_bar_shows_the_least_there_is_and_none_where_there_is_none() -> None:
    assert [share(v, 200) for v in (200, 50, 0.001, 0, math.nan)] == [100, 25, 0.5, 0, 0]
    assert share(1, 0) == 0


def test_a_half_life_leaves_half() -> None:
    assert decayed(8, 7, [0, 7, 14]) == [8, 4, 2]


def test_labels_do_not_cover_each_other() -> None:
    """The lowest stays; those above it make room."""
    assert apart([100, 98, 50], 14) == [100, 86, 50]


def test_a_chart_of_days_has_a_line_for_each_run_and_a_band_for_each_finding() -> None:
    """The day of a finding is a dot with its value; what was expected is a dashed line."""
    mark = Mark(2, 2, "blocks", "id: half of it", 10.0)
    svg = ET.fromstring(
        days_chart(
            "plays", [f"2026-11-{d:02}" for d in range(1, 6)], [9, 10, 4, math.nan, 9], [mark]
        )
    )
    lines = svg.findall("polyline")
    assert [len(line.get("points", "").split()) for line in lines] == [3, 1]
    assert [band.findtext("title") for band in svg.findall("rect")] == ["id: half of it"]
    dots = [
        dot.findtext("title") for dot in svg.findall("circle") if "blocks" in dot.get("class", "")
    ]
    assert dots == ["2026-11-03: 4"]
    assert len([x for x in svg.findall("line") if x.get("class") == "expected"]) == 1
    assert svg.get("aria-label") == svg.findtext("title") == "plays"


def test_a_curve_of_each_half_life_begins_with_its_sum() -> None:
    svg = ET.fromstring(decay_chart("decay", {1: 2.0, 7: 4.0, 365: 8.0}, 60))
    curves = svg.findall("polyline")
    assert [curve.findtext("title") for curve in curves] == [
        "half-life 1 d: 2 now", "half-life 7 d: 4 now", "half-life 365 d: 8 now",
    ]  # fmt: skip
    first = [float(curve.get("points", "").split()[0].split(",")[1]) for curve in curves]
    base = 230
    assert (base - first[0]) * 4 == pytest.approx(base - first[2], abs=0.5)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '" onload="x', "a & b"])
def test_whatever_is_written_in_a_drawing_is_text(text: str) -> None:
    drawn = days_chart(text, ["2026-11-01"], [1.0], [Mark(0, 0, "named", text, 1.0)])
    assert "<script" not in drawn
    assert ET.fromstring(drawn).findtext("title") == text


def test_a_bar_is_as_long_as_its_share() -> None:
    assert ET.fromstring(bar(3, 12, "plays")).find("rect").get("width") == "25.00"
