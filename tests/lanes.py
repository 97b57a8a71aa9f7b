"""Which tests run beside each other, how long each takes, and the guard of tests without Java.

Loaded by tests/conftest.py; docs/testing.md says how the commands of the Makefile use it.

    lanes       `-n 2 --dist loadgroup` runs two groups of tests at once. All tests that use the
                shared Spark session are one group, so only one process starts it. Every other file
                is a group. The longest groups come first, so both processes end at about one time.
    durations   tests/durations.json: seconds of each test's call, by its id. `--write-durations`
                (make durations) writes those of this run into it. A test over `SLOW_S` there has
                the mark `slow` (tests/unit/test_lanes.py).
    Java        `--without-java` (make test-unit) puts a `java` before all others that fails, and
                writes down which test started it; then the run fails, too. To ask its version, as
                the doctor does, is allowed.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SLOW_S = 5.0
"""A test whose call takes longer has the mark `slow`."""

DURATIONS = Path(__file__).with_name("durations.json")
COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""Every test below the given paths, also those that `-m` leaves out."""

_SPARK = "spark"
_USUAL_S = 0.1  # of a test that is not in the file
_LONG_S = 10.0  # a group that takes longer is begun early
_KEPT_S = 0.5  # what is quicker is not in the file
_JAVA = """#!/bin/sh
case "$*" in *-version*) ;; *) echo "${{PYTEST_CURRENT_TEST:-no test}}: $*" >> "{started}" ;; esac
echo "no Java in this run: a test that starts it has the mark spark or kafka" >&2
exit 1
"""


def durations() -> dict[str, float]:
    """Seconds of each test's call in the last measured run, by its id."""
    return json.loads(DURATIONS.read_text("utf-8")) if DURATIONS.exists() else {}


def lane_of(item: pytest.Item) -> str:
    """The name of its group: one for all that may use the shared Spark session, else its file."""
    if item.get_closest_marker(_SPARK) or _SPARK in getattr(item, "fixturenames", ()):
        return _SPARK
    return item.nodeid.partition("::")[0]


def longest_first(items: Sequence[pytest.Item], known: Mapping[str, float]) -> list[pytest.Item]:
    """The tests group by group: the long ones by length, then the short ones as they came."""
    lanes: dict[str, list[pytest.Item]] = {}
    for item in items:
        lanes.setdefault(lane_of(item), []).append(item)

    def length_s(lane: str) -> float:
        took_s = sum(known.get(without_lane(item.nodeid), _USUAL_S) for item in lanes[lane])
        return took_s if took_s > _LONG_S else 0.0

    return [item for lane in sorted(lanes, key=length_s, reverse=True) for item in lanes[lane]]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lanes", "tests of Impressions")
    group.addoption("--write-durations", action="store_true", help="note how long each test took")
    group.addoption("--without-java", action="store_true", help="fail if a test starts Java")


def pytest_configure(config: pytest.Config) -> None:
    _take_time_from_hypothesis()
    if not config.pluginmanager.hasplugin("xdist"):
        config.addinivalue_line("markers", "xdist_group: the group of a test in pytest-xdist")
    if not hasattr(config, "workerinput"):  # pytest-xdist gives it to the processes it starts
        guard = _put_java_out_of_reach() if config.getoption("--without-java") else None
        config.pluginmanager.register(Report(config, guard), "impressions-report")


def _take_time_from_hypothesis() -> None:
    """An example that takes long says that the other lane is busy; nothing else changes."""
    usual = settings()
    suppressed = {*usual.suppress_health_check, HealthCheck.too_slow}
    settings.register_profile("lanes", usual, deadline=None, suppress_health_check=suppressed)
    settings.load_profile("lanes")


def _put_java_out_of_reach() -> tempfile.TemporaryDirectory[str]:
    """For this process and all it starts; in the file `started` stands what starts Java anyway."""
    made = tempfile.TemporaryDirectory(prefix="no-java-")
    home = Path(made.name)
    java = home / "bin" / "java"
    java.parent.mkdir()
    java.write_text(_JAVA.format(started=home / "started"), "utf-8")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    path = f"{java.parent}{os.pathsep}{os.environ['PATH']}"
    os.environ |= {"JAVA_HOME": str(home), "PATH": path}
    return made


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    """Groups all that was collected; puts what `-m` leaves of it in order."""
    config.stash[COLLECTED] = list(items)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(lane_of(item)))
    yield
    if hasattr(config, "workerinput"):
        items[:] = longest_first(items, durations())


def without_lane(nodeid: str) -> str:
    """The id of a test as it is without lanes: pytest-xdist appends `@<group>`."""
    at = nodeid.rfind("@")
    return nodeid[:at] if at > max(nodeid.rfind("]"), nodeid.rfind("::")) else nodeid


class Report:
    """What is said and kept of a run; in the process that the others report to."""

    def __init__(
        self, config: pytest.Config, guard: tempfile.TemporaryDirectory[str] | None
    ) -> None:
        self._config, self._guard = config, guard
        self._took_s: dict[str, float] = {}
        self._unmarked: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        report.nodeid = without_lane(report.nodeid)  # so that it can be copied
        if report.when == "call" and report.passed:
            self._took_s[report.nodeid] = report.duration
            if report.duration > SLOW_S and "slow" not in report.keywords:
                self._unmarked.append(f"{report.nodeid}: {report.duration:.1f} s")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._config.getoption("--write-durations"):
            known = durations() | self._took_s
            kept = {k: round(s, 1) for k, s in sorted(known.items()) if s >= _KEPT_S}
            DURATIONS.write_text(json.dumps(kept, indent=0) + "\n", "utf-8")
        if self._java_starts() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if starts := self._java_starts():
            terminalreporter.section("Java was started in a run without Java", red=True)
            terminalreporter.write(starts)
        if self._unmarked:
            terminalreporter.section(f"over {SLOW_S:.0f} s here, without the mark slow")
            terminalreporter.write_line("\n".join(self._unmarked))

    def pytest_unconfigure(self) -> None:
        if self._guard is not None:
            self._guard.cleanup()

    def _java_starts(self) -> str:
        """Who started Java in a run that must not; a line for each."""
        started = Path(self._guard.name) / "started" if self._guard is not None else None
        return started.read_text() if started is not None and started.exists() else ""
