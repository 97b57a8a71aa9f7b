"""The same function over many tasks: threads of this process, or tasks of Spark.

    started by itself      threads, one per core that may be used: numpy, Arrow and the compiled
                           code let go of the interpreter while they work
    spark-submitted        each a task of the cluster; function and tasks are pickled, so they hold
                           plain values and paths that every executor can open

Results come in the order of the tasks. The first error ends it; results of tasks that had finished
are given to `discard`, for files they wrote.

An error of ours ends the job as itself wherever it was raised: Spark hands the driver a text of
Java around Python's traceback, so a task writes its error into that text, and the driver reads it
there (`_telling`, `_told`).
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from impressions.core import errors
from impressions.core.errors import ImpressionsError
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
            spread = self._spark.parallelize(list(tasks), len(tasks))
            try:
                return spread.map(partial(_telling, function)).collect()
            except Exception as error:  # py4j's or Spark's, around what the task raised
                raise _told(what, error) from error
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


class _TaskError(Exception):
    """An error of ours on its way through Spark, as text."""


def _telling(function: Callable[[_Task], _Result], task: _Task) -> _Result:
    """`function` of the task, on an executor."""
    try:
        return function(task)
    except ImpressionsError as error:
        kind = next(k for k in type(error).__mro__ if k.__module__ == errors.__name__)
        said = json.dumps([kind.__name__, error.message, error.hint, error.reason])
        text = base64.b64encode(said.encode()).decode()  # one word, whatever becomes of the lines
        raise _TaskError(f"{error.message} <error {text}>") from error


def _told(what: str, error: Exception) -> ImpressionsError:
    """What a task raised, as an error of ours."""
    text = str(error)
    if ours := re.findall(r"<error ([A-Za-z0-9+/=]+)>", text):
        kind, message, hint, reason = json.loads(base64.b64decode(ours[-1]))
        known: ImpressionsError = getattr(errors, kind)(message, hint=hint, reason=reason)
        return known
    # The end of the task's own traceback says why.
    ends = re.findall(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)", text)
    reason = ends[-1] if ends else f"{type(error).__name__}: {text}".partition("\n")[0]
    return ImpressionsError(
        f"{what}: a task on the cluster failed: {reason}",
        hint="nothing was published; run the same line again after the cause is gone",
        reason="task_failed",
    )


def _is_well(future: Future[_Result]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
