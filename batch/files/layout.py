"""The columns of a file, in its own order, and those of them that a mapping reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from batch.mapping.fits import check_against
from batch.mapping.grammar import ImportMapping
from batch.mapping.kinds import Kind
from impressions.core.errors import MappingError


@dataclass(frozen=True)
class Column:
    """A column by its exact name. `index`: where the format has it; -1 where it cannot be read."""

    name: str
    kind: Kind
    index: int


@dataclass(frozen=True)
class Layout:
    """Columns of a file, in its order; `width` of them, with those that are not read."""

    columns: tuple[Column, ...]
    width: int

    def mapped(self, mapping: ImportMapping) -> Layout:
        """The columns that are read, and no others."""
        wanted = set(mapping.columns)
        kept = (column for column in self.columns if column.name in wanted)
        return Layout(tuple(kept), self.width)

    def check(self, mapping: ImportMapping, path: str, hint: str | None) -> None:
        """Refuses a mapping that does not fit; `hint` as in `check_against`.

        Raises:
            MappingError: a mapped column is not there, there twice, or of another type.
        """
        times = Counter(column.name for column in self.columns)
        for column in mapping.columns:
            if times[column] > 1:
                raise MappingError(
                    f"{path}: column {column!r} is there {times[column]} times, expected once",
                    hint="write the file with a name of its own for each column",
                    reason="duplicate_column",
                )
        check_against(mapping, {column.name: column.kind for column in self.columns}, path, hint)
