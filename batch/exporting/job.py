"""What every step of one export works with, and no step changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake import tables
from impressions.clock import Clock, now_ms
from impressions.formats.generation_paths import generation_id, ref_name
from impressions.settings.model import Settings
from impressions.storage.directory import Directory, below, open_directory
from impressions.terminal.report import Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROLL_BYTES = 256 << 20
"""Bytes of blocks after which a shard's next file is begun."""


@dataclass(frozen=True)
class Exporting:
    """One export.

    Attributes:
        target: the directory of the generation, at `uri`.
    """

    spark: SparkSession
    settings: Settings
    cutover_ms: int
    run: Run
    target: Directory
    uri: str
    roll_bytes: int = ROLL_BYTES
    clock: Clock = now_ms

    @classmethod
    def of(cls, spark: SparkSession, settings: Settings, cutover_ms: int, run: Run) -> Exporting:
        uri = below(settings.generations, generation_id(cutover_ms))
        return cls(spark, settings, cutover_ms, run, open_directory(uri), uri)

    @property
    def name(self) -> str:
        return generation_id(self.cutover_ms)

    @property
    def ema(self) -> str:
        return tables.full_name(self.settings, tables.EMA)

    @property
    def tag(self) -> str:
        return ref_name("gen", self.cutover_ms)

    def table(self) -> DataFrame:
        """The rows of the generation."""
        return self.spark.read.option("versionAsOf", self.tag).table(self.ema)
