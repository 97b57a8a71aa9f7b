"""What one import was asked for, and what it works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batch.jobs.tasks import Runner
from batch.mapping.grammar import ImportMapping
from impressions.clock import Clock
from impressions.core.spec import Spec
from impressions.settings.model import Settings
from impressions.terminal.report import RunReport


@dataclass(frozen=True)
class Import:
    """One `land --from-files`.

    Attributes:
        paths: files, directories, globs.
        valid_through_ms: the caller's word on how far raw is complete; None = from the files.
        look_first: stop where most of a file's first rows are rejected for one reason.
    """

    settings: Settings
    paths: Sequence[str]
    mapping: ImportMapping
    valid_through_ms: int | None
    dry_run: bool
    report: RunReport
    runner: Runner
    clock: Clock
    look_first: bool = True

    @property
    def spec(self) -> Spec:
        return self.settings.spec

    @property
    def identified(self) -> bool:
        """Whether the rows carry log ids."""
        return "log_id" in self.mapping

    @property
    def memory_bytes(self) -> int:
        return self.settings.land.memory_mb << 20
