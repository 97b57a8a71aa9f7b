"""What one import was asked for, and what it works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch import tables
from batch.mapping import ImportMapping
from batch.report import RunReport
from impressions.shell.settings import Settings
from impressions.spec import Spec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Import:
    """One `land --from-files`.

    Attributes:
        paths: files, directories, globs.
        valid_through_ms: the caller's word on how far raw is complete; None = from the files.
    """

    spark: SparkSession
    settings: Settings
    paths: Sequence[str]
    mapping: ImportMapping
    valid_through_ms: int | None
    dry_run: bool
    report: RunReport

    @property
    def spec(self) -> Spec:
        return self.settings.spec

    @property
    def identified(self) -> bool:
        """Whether the rows carry log ids."""
        return "log_id" in self.mapping

    def table(self, name: str) -> str:
        return tables.full_name(self.settings, name)
