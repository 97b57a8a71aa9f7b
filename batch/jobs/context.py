"""What every step of a job works with, and no step changes.

A step takes the context (or the job: a context with what was asked for) and its own arguments,
and returns what it did. The verb makes the report of the run from what the steps returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.jobs.tasks import Runner
from batch.lake import tables
from impressions.clock import Clock
from impressions.core.spec import Spec
from impressions.settings.model import Settings
from impressions.terminal.report import Run

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Context:
    """Settings, and what a step reaches of the world.

    Attributes:
        run: names the commits, and says notes to the person.
        runner: runs tasks.
    """

    settings: Settings
    run: Run
    runner: Runner
    clock: Clock

    @property
    def spec(self) -> Spec:
        return self.settings.spec

    @property
    def memory_bytes(self) -> int:
        """What the job may hold of rows."""
        return self.settings.land.memory_mb << 20

    def table(self, name: str) -> Table:
        """Raw or rejected as it is now. NotReady where it does not exist."""
        return tables.require(self.settings, name, hint="impressions land")
