"""Real Spark and Iceberg for integration tests: one JVM for all, a fresh warehouse per module, and
one warehouse with a published year that the tests of several modules read.

The JVM is the fixture `spark` of tests/spark.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from batch.spark.session import spark_session
from impressions.settings.model import Settings
from tests.spark import small_settings


@dataclass(frozen=True)
class Lake:
    """A warehouse of its own, and a session whose catalog `lake` is that warehouse."""

    settings: Settings
    spark: SparkSession


def plain_lake(home: Path) -> Any:
    """A warehouse for tests in which nobody asks Spark."""
    return Lake(small_settings(home), None)  # type: ignore[arg-type]


def new_lake(home: Path) -> Lake:
    """For tests that need more than one warehouse; needs the `spark` fixture to run."""
    settings = small_settings(home)
    return Lake(settings, spark_session(settings, "tests"))


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A fresh warehouse per test module."""
    return new_lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def empty(spark: SparkSession, tmp_path: Path) -> Lake:
    """A fresh warehouse for one test."""
    return new_lake(tmp_path / "home")


@dataclass(frozen=True)
class PublishedYear:
    """A warehouse with one year of events and the generation made of them.

    Tests may add rows to raw; the generation and its tag stay as they are.

    Attributes:
        events: as tests/integration/raw_events.py makes them, later and earlier ones too.
        report: of the compaction.
    """

    lake: Lake
    events: list[Any]
    report: dict[str, Any]


@pytest.fixture(scope="session")
def published_year(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> PublishedYear:
    """Made once for all modules: a year takes Spark some 15 s. Half of its files are in the layout
    of an earlier version."""
    from batch.compact import compact
    from batch.compacting.job import Compacting
    from impressions.terminal.report import start_run
    from tests.integration.raw_events import CUTOVER_MS, YEAR_SEED, write_closed, year

    lake, events = new_lake(tmp_path_factory.mktemp("year")), year(YEAR_SEED)
    half = len(events) // 2
    write_closed(lake, events[:half], duplicates=events[::9], old=True)
    write_closed(lake, events[half:])
    job = Compacting(lake.settings, CUTOVER_MS, start_run("compact"))
    return PublishedYear(lake, events, job.run.report(compact(job)).as_dict())
