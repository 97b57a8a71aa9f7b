"""DataFrames written to Iceberg tables, in commits that say something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriterV2


def writer(rows: DataFrame, table: str, properties: Mapping[str, str]) -> DataFrameWriterV2:
    """A writer whose commit carries the properties."""
    into = rows.writeTo(table)
    for key, value in properties.items():
        into = into.option(f"snapshot-property.{key}", value)
    return into
