"""Which files an import reads: all under its paths, without those that raw holds already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch.files.find import files_under
from batch.files.identify import SourceFile
from batch.importing import expected
from batch.importing.imported import rows_by_source
from batch.importing.job import Import
from batch.lake import tables

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Listed:
    """Files under the paths of an import; `left_out`: of directories, files that are no events."""

    files: Sequence[SourceFile]
    left_out: int


@dataclass(frozen=True)
class Chosen:
    """All files that were listed, and those of them that are read.

    Attributes:
        new: raw holds no row of them, or too few.
        short: source -> rows that it once brought, of those with too few; theirs are replaced.
    """

    listed: Listed
    new: Sequence[SourceFile]
    short: Mapping[str, int] = field(default_factory=dict)


def listed(job: Import) -> Listed:
    """Finds the files; says which ones are left out, and why.

    Raises:
        UsageError, CorruptData: no such file, or none that is readable.
    """
    files, notes, left_out = files_under(job.paths)
    for note in notes:
        job.run.note(note)
    return Listed(files, left_out)


def chosen(job: Import, these: Listed, raw: Table | None) -> Chosen:
    """Leaves out what is imported already, and says so; what has lost rows since is read again."""
    held = rows_by_source(raw, [file.source for file in these.files])
    short = {} if job.accept_loss else expected.short(raw, held, job.spec)
    rejected = rows_by_source(tables.fitting(job.settings, tables.REJECTED), held) if held else {}
    for file in these.files:
        if file.source in short:
            job.run.note(
                f"{file.name}: raw holds {held[file.source]:,} of the {short[file.source]:,} rows "
                "that it brought; it is imported again, in their place"
            )
        elif file.source in held:
            job.run.note(
                f"{file.name}: already imported, {held[file.source]:,} rows in raw and "
                f"{rejected.get(file.source, 0):,} rejected; to import it again with another "
                f"mapping, take it out first: impressions land --forget {file.source}"
            )
    wanted = [file for file in these.files if file.source not in held or file.source in short]
    return Chosen(these, wanted, short)
