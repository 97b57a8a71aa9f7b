"""The same function over many tasks: threads of this process, or tasks of Spark.

    started by itself      threads, one per core that may be used: numpy, Arrow and the compiled
                           code let go of the interpreter while they work
    spark-submitted        each a task of the cluster; function and tasks are pickled, so they hold
                           plain values and paths that every executor can open

Results come in the order of the tasks. The first error ends it; results of tasks that had finished
are given to `discard`, for files they wrote.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, TypeVar

from impressions.terminal.console import progress

if TYPE_CHECKING:
    from pyspark import SparkContext

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Runner:
    """Runs tasks; `width` of them at a time."""

    def __init__(self, spark: SparkContext | None = None):
        self._spark = spark
        self.width = spark.defaultParallelism if spark else cores()

    @property
    def is_local(self) -> bool:
        """Whether tasks run in this process and may share its memory."""
        return self._spark is None

    def share(self, memory_bytes: int) -> int:
        """What each of the tasks that run in one process may use."""
        return memory_bytes if self._spark else memory_bytes // self.width

    def run(
        self,
        what: str,
        function: Callable[[_Task], _Result],
        tasks: Sequence[_Task],
        discard: Callable[[Iterable[_Result]], object] = lambda results: None,
    ) -> list[_Result]:
        """`function` of each task; `what` names the work where progress is shown."""
        if not tasks:
            return []
        if self._spark is not None:
            return self._spark.parallelize(list(tasks), len(tasks)).map(function).collect()
        with progress(what, total=len(tasks)) as bar, ThreadPoolExecutor(self.width) as pool:
            futures = [pool.submit(function, task) for task in tasks]
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.advance()
            except BaseException:  # an interrupt too: what was written is deleted
                pool.shutdown(wait=True, cancel_futures=True)
                discard([future.result() for future in futures if _is_well(future)])
                raise
            return [future.result() for future in futures]


def runner_of_submission() -> Runner:
    """Spark's where this process was spark-submitted, else threads."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return Runner()
    from pyspark import SparkContext

    return Runner(SparkContext.getOrCreate())


def _is_well(future: Future[_Result]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
