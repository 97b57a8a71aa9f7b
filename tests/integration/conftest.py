"""Real Spark and Iceberg for integration tests: one JVM for all, a fresh warehouse per module.

The JVM is the fixture `spark` of tests/spark.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
