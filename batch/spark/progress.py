"""Progress of Spark's work: a bar that counts the tasks of the running stages, or lines where
stderr is no terminal (impressions/terminal/console.py).

Spark's status tracker is asked a few times a second from a thread beside the action.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from impressions.terminal.console import Bar, progress

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ASK_EVERY_S = 0.25


@contextlib.contextmanager
def stages(spark: SparkSession, description: str) -> Iterator[None]:
    """A bar named `description` while the block runs Spark actions."""
    done = threading.Event()
    with progress(description, unit="items") as bar:
        watcher = threading.Thread(target=_watch, args=(spark, bar, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def _watch(spark: SparkSession, bar: Bar, done: threading.Event) -> None:
    """Tasks of a stage that has ended stay counted, so the bar never runs backwards."""
    tracker = spark.sparkContext.statusTracker()
    seen: dict[int, tuple[int, int]] = {}
    while not done.wait(_ASK_EVERY_S):
        active = list(tracker.getActiveStageIds())
        for stage in seen.keys() - set(active):
            seen[stage] = (seen[stage][1], seen[stage][1])
        for stage in active:
            if info := tracker.getStageInfo(stage):
                seen[stage] = (info.numCompletedTasks, info.numTasks)
        if seen:
            bar.set(sum(d for d, _ in seen.values()), sum(n for _, n in seen.values()))
