"""What a task on a cluster raises ends the job as it would in one process."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from batch.jobs.tasks import Runner
from impressions.core.errors import CorruptData, ImpressionsError
from impressions.process.recording import ended_by

pytestmark = pytest.mark.spark


def test_an_error_of_ours_keeps_its_exit_code_hint_and_reason(spark: SparkSession) -> None:
    """One of three tasks reads a rotten file: exit 4, with the file's name, as without Spark."""

    def read(n: int) -> int:
        if n == 1:
            raise CorruptData(
                f"{n}.parquet: rotten\nin row 7", hint="restore", reason="rotten_file"
            )
        return n

    for runner in (Runner(), Runner(spark.sparkContext)):
        with pytest.raises(CorruptData, match=r"1\.parquet: rotten\nin row 7") as raised:
            runner.run("read", read, [0, 1, 2])
        code, known = ended_by(raised.value)
        assert (code, known and known.reason, known and known.hint) == (4, "rotten_file", "restore")


def test_any_other_error_is_named_with_its_work(spark: SparkSession) -> None:
    """Of Java's hundred lines the last of Python's traceback is left."""

    def divide(n: int) -> float:
        return 1 / n

    with pytest.raises(ImpressionsError, match=r"halve: .* ZeroDivisionError") as raised:
        Runner(spark.sparkContext).run("halve", divide, [1, 0])
    assert (raised.value.exit_code, raised.value.reason) == (1, "task_failed")
    assert "\tat " not in raised.value.message
