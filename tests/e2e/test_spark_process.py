"""The process in which the demo keeps Spark: verbs run in it as they do by themselves."""

import os
from pathlib import Path

import pytest

from examples.demo.spark_process import SparkProcess

ROOT = Path(__file__).parents[2]
SETTINGS = """\
[spark]
driver_memory = "512m"
"""

pytestmark = [pytest.mark.spark, pytest.mark.timeout(120)]


@pytest.mark.slow
def test_verbs_run_one_after_the_other_and_leave_what_they_print_in_files(tmp_path):
    """A verb that fails gives its exit code and reason, and the next one runs all the same."""
    (tmp_path / "impressions.toml").write_text(SETTINGS)
    out, err = tmp_path / "out", tmp_path / "err"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = SparkProcess(tmp_path, environment, tmp_path / "log")
    try:
        assert process.run(("compact", "--logical-date", "2026-11-15"), out, err) == 5
        assert "impressions land" in err.read_text()
        assert process.run(("config", "--json"), out, err) == 0
        assert '"spark.driver_memory"' in out.read_text()
        assert err.read_text() == ""
    finally:
        process.stop()
