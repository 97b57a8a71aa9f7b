"""What the steps of a run are given: settings, a clock, and what they leave for each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from impressions.clock import Clock
from impressions.core.errors import ImpressionsError
from impressions.core.spec import Spec
from impressions.formats.generation_paths import generation_id
from impressions.settings.model import Settings


@dataclass(frozen=True)
class Asked:
    """One run of several steps.

    Attributes:
        unhealed: generations of this host that are rotten and stay so, with the reason.
        would_load: of a dry run, the generation that this host would load; empty: none.
    """

    settings: Settings
    clock: Clock
    dry_run: bool = False
    unhealed: dict[str, ImpressionsError] = field(default_factory=dict)
    would_load: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Week(Asked):
    """One weekly run.

    Attributes:
        cutover_ms: the logical date.
        from_files: the arguments of an import (batch/importing); None: the topic is landed.
    """

    cutover_ms: int
    from_files: Mapping[str, Any] | None = None

    @property
    def spec(self) -> Spec:
        return self.settings.spec

    @property
    def name(self) -> str:
        """Of the generation."""
        return generation_id(self.cutover_ms)
