"""What one import was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batch.jobs.context import Context
from batch.mapping.grammar import ImportMapping


@dataclass(frozen=True)
class Import(Context):
    """One `land --from-files`.

    Attributes:
        paths: files, directories, globs.
        valid_through_ms: the caller's word on how far raw is complete; None = from the files.
        accept_loss: rows that somebody took out of imported files stay away.
        look_first: stop where most of a file's first rows are rejected for one reason.
    """

    paths: Sequence[str]
    mapping: ImportMapping
    valid_through_ms: int | None = None
    dry_run: bool = False
    look_first: bool = True
    accept_loss: bool = False

    @property
    def identified(self) -> bool:
        """Whether the rows carry a log_id."""
        return "log_id" in self.mapping
