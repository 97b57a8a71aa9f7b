"""What a step is, and what it says when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from impressions.core.errors import ImpressionsError


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        name: one word, for people and for JSON.
        target: `module:function`; it is called with what the run was asked for, and returns `Done`.
    """

    name: str
    target: str


@dataclass(frozen=True)
class Done:
    """What a step did; in a dry run, what it would do.

    Attributes:
        line: in one line, for people.
        changed: whether it did anything, or would.
        report: of this step, JSON types.
        left: what it could not put right. The steps after it make sense all the same, but the run
            does not end well.
    """

    line: str
    changed: bool = False
    report: Mapping[str, Any] = field(default_factory=dict)
    left: ImpressionsError | None = None
