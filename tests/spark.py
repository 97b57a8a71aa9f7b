"""The JVM that all tests share, as the fixture `spark`; a plugin of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, DataFrameWriterV2, SparkSession

from batch.spark.session import spark_session
from impressions.settings.model import Settings


def small_settings(home: Path) -> Settings:
    """P = 4, daily slots, two cores: what every integration test runs with."""
    return Settings(home=home, partitions=4, spark={"master": "local[2]", "driver_memory": "3g"})


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Verbs called by tests find it and do not stop it."""
    session = spark_session(small_settings(tmp_path_factory.mktemp("spark")), "tests")
    yield session
    session.stop()


def writer(rows: DataFrame, table: str, properties: Mapping[str, str]) -> DataFrameWriterV2:
    """A writer of Spark's whose commit carries the properties."""
    into = rows.writeTo(table)
    for key, value in properties.items():
        into = into.option(f"snapshot-property.{key}", value)
    return into
