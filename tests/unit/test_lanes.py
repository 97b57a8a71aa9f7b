"""Marks and lanes (tests/lanes.py): what is long is marked, and what must not meet does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.nodes import Node

from tests import lanes

ROOT = Path(__file__).parents[2]
RELIABILITY = ROOT / "docs" / "reliability.md"
REST = "## The tests of `make test-rest`"
LONG_S = 300
"""As long as one group may take in `make test`: half of its time, as two run at once."""


@pytest.fixture
def collected(request: pytest.FixtureRequest) -> list[pytest.Item]:
    """Every test of this run, also those that `-m` left out."""
    return request.config.stash[lanes.COLLECTED]


def marks_of(item: pytest.Item) -> set[str]:
    return {mark.name for mark in item.iter_markers()}


def is_in_make_test(item: pytest.Item) -> bool:
    """As the Makefile selects."""
    marks = marks_of(item)
    return "alone" not in marks and ("slow" not in marks or "representative" in marks)


def test_a_test_that_takes_long_has_the_mark_slow(collected: list[pytest.Item]) -> None:
    """By the last measured run (make durations), not by how busy this machine is."""
    known = lanes.durations()
    unmarked = [
        f"{id_} took {known[id_]} s"
        for item in collected
        if known.get(id_ := lanes.without_lane(item.nodeid), 0) > lanes.SLOW_S
        and not {"slow", "alone"} & marks_of(item)
    ]
    assert unmarked == [], "mark them: @pytest.mark.slow"


def test_only_slow_tests_are_representative(collected: list[pytest.Item]) -> None:
    marks = {item.nodeid: marks_of(item) for item in collected}
    assert [id_ for id_, m in marks.items() if "representative" in m and "slow" not in m] == []
    assert [id_ for id_, m in marks.items() if {"representative", "alone"} <= m] == []


def test_no_group_of_make_test_is_longer_than_half_of_its_time(
    collected: list[pytest.Item],
) -> None:
    """A group is not divided between the two processes."""
    known, took_s = lanes.durations(), dict[str, float]()
    for item in filter(is_in_make_test, collected):
        lane = lanes.lane_of(item)
        took_s[lane] = took_s.get(lane, 0) + known.get(lanes.without_lane(item.nodeid), 0)
    assert {lane: s for lane, s in took_s.items() if s > LONG_S} == {}


def test_the_reliability_page_names_the_tests_that_make_test_leaves_out(
    collected: list[pytest.Item],
) -> None:
    """Of those that the page names at all, and of those that this run has collected."""
    page, _, listed = RELIABILITY.read_text("utf-8").partition(REST)
    quick: dict[str, bool] = {}
    for item in collected:
        file, _, name = re.sub(r"\[.*|@.*", "", item.nodeid).partition("::")
        for id_ in (file, f"{file}::{name.rpartition('::')[2]}", f"{file}::{name.split('::')[0]}"):
            quick[id_] = quick.get(id_, False) or is_in_make_test(item)
    named = set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", page))
    left_out = {id_ for id_ in named if quick.get(id_) is False}
    said = {id_ for id_ in re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", listed) if id_ in quick}
    assert said == left_out


def item(nodeid: str, *fixtures: str, spark: bool = False) -> Any:
    return SimpleNamespace(
        nodeid=nodeid, fixturenames=fixtures, get_closest_marker=lambda name: spark or None
    )


def test_all_of_spark_is_one_group_and_every_other_file_is_one() -> None:
    items = [
        item("tests/a/test_x.py::test_1"),
        item("tests/b/test_y.py::test_1", spark=True),
        item("tests/b/test_z.py::T::test_2[a]@tests/b/test_z.py"),
        item("tests/a/test_x.py::test_3", "spark"),
    ]
    expected = ["tests/a/test_x.py", "spark", "tests/b/test_z.py", "spark"]
    assert [lanes.lane_of(i) for i in items] == expected


def test_long_groups_come_first_and_short_ones_as_they_came() -> None:
    """Within a group nothing moves: fixtures of a module are made once."""
    items = [item(f"{file}::{name}") for file, name in ("b1", "a1", "c1", "c2", "d1", "d2", "e1")]
    known = {"c::1": 6.0, "c::2": 6.0, "d::1": 1.0, "d::2": 40.0, "e::1": 2.0}
    ordered = [i.nodeid for i in lanes.longest_first(items, known)]
    assert ordered == ["d::1", "d::2", "c::1", "c::2", "b::1", "a::1", "e::1"]


@pytest.mark.parametrize(
    "nodeid", ["tests/a.py::test_x", "tests/a.py::test_x[a@b]", "tests/a.py::T::test_x[u@h]"]
)
def test_an_id_is_the_same_with_lanes_and_without(nodeid: str) -> None:
    assert lanes.without_lane(nodeid) == nodeid
    assert lanes.without_lane(f"{nodeid}@spark") == nodeid
    assert lanes.without_lane(f"{nodeid}@tests/a.py") == nodeid


STARTS_JAVA = """
import shutil, subprocess
def test_that_starts_java():
    assert subprocess.run([shutil.which("java"), "Main"]).returncode == 1
def test_that_does_not():
    pass
"""


def test_a_run_without_java_fails_and_names_the_test_that_starts_it(tmp_path: Path) -> None:
    """Also where the test itself does not notice."""
    (tmp_path / "test_it.py").write_text(STARTS_JAVA)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.lanes", "-p", "no:cacheprovider",
         "--rootdir", str(tmp_path), "-c", "/dev/null", "--without-java", "test_it.py"],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "2 passed" in done.stdout
    assert "test_it.py::test_that_starts_java" in done.stdout.partition("without Java")[2]


def test_the_scheduler_can_see_the_lane():
    """pytest-xdist appends it to `_nodeid`. With ids kept elsewhere there would be no lanes."""
    assert "_nodeid" in Node.__slots__
