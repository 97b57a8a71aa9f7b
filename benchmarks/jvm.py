"""What Spark's processes cost: CPU seconds and resident memory, read from /proc.

The JVM of a session and its Python workers are one job to the one who pays for them, so both
figures are sums over the JVM and everything below it.
"""

from __future__ import annotations

import math
import os
import statistics
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.frame import timed_s

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SAMPLE_EVERY_S = 0.05


@dataclass
class Meter:
    """Times work in Spark, and keeps what it cost in CPU."""

    spark: SparkSession
    taken_s: dict[str, list[float]] = field(default_factory=dict)

    def seconds(self, name: str, work: Callable[[], object]) -> float:
        """Seconds of one call."""
        pid = pid_of(self.spark)
        before_s = cpu_s(pid)
        seconds = timed_s(work)
        self.taken_s.setdefault(name, []).append(cpu_s(pid) - before_s)
        return seconds

    def cpu_s(self, name: str) -> float:
        """Median CPU seconds of the calls under this name."""
        return statistics.median(self.taken_s[name])

    def median_or_nan(self, name: str) -> float:
        """The same; NaN where none of them came to its end."""
        return self.cpu_s(name) if name in self.taken_s else math.nan


def pid_of(spark: SparkSession) -> int:
    """The JVM behind a session."""
    jvm: Any = spark._jvm
    return int(jvm.java.lang.ProcessHandle.current().pid())


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, its children that live and those it has waited for."""
    return sum(_ticks(Path(f"/proc/{one}/stat")) for one in family(pid)) / _TICKS_PER_S


def peak_rss_bytes(spark: SparkSession, work: Callable[[], object]) -> int:
    """The most memory that was resident at once while `work` ran, after a full collection."""
    pid, done, peak = pid_of(spark), threading.Event(), [0]

    def watch() -> None:
        while not done.wait(_SAMPLE_EVERY_S):
            peak[0] = max(peak[0], sum(_rss_bytes(one) for one in family(pid)))

    jvm: Any = spark._jvm
    jvm.java.lang.System.gc()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return peak[0]


def family(pid: int) -> list[int]:
    """A process and all below it that live."""
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        left += _children(one)
    return found


def _children(pid: int) -> list[int]:
    pids: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids += map(int, task.read_text().split())
        except OSError:  # the thread has ended meanwhile
            continue
    return pids


def _ticks(stat: Path) -> int:
    """User and system time, with that of children it has waited for."""
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def _rss_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
