"""What every step of one compact works with, and no step changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from batch.jobs.tasks import Runner
from batch.lake import tables
from impressions.core.spec import Spec
from impressions.formats.generation_paths import generation_id
from impressions.settings.model import Settings
from impressions.settings.sections.batch import Audits
from impressions.terminal.report import Run


@dataclass(frozen=True)
class Compacting:
    """One compact. There is no clock in it: the cutover decides everything.

    `from_scratch`: nothing is taken from the generation before.
    """

    settings: Settings
    cutover_ms: int
    run: Run
    runner: Runner = field(default_factory=Runner)
    from_scratch: bool = False

    @property
    def raw(self) -> str:
        return tables.full_name(self.settings, tables.RAW)

    @property
    def ema(self) -> str:
        return tables.full_name(self.settings, tables.EMA)

    @property
    def limits(self) -> Audits:
        return self.settings.audits

    @property
    def spec(self) -> Spec:
        return self.settings.spec

    @property
    def name(self) -> str:
        return generation_id(self.cutover_ms)

    @property
    def task_bytes(self) -> int:
        """What each of the tasks that run at a time may hold of rows."""
        return self.runner.share(self.settings.compact.memory_mb << 20)
