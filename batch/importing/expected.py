"""How many rows each imported file brought, as its own import said: a file of which raw holds fewer
is short, and its next import completes it.

    impressions.imported = <source>=<rows>@<oldest day, ms>,...     in the commit that brought them

Our own commits keep every row, so a file becomes short only where somebody else took rows of it.
Not judged are files of which nothing says what they brought (the commit has expired, or brought
more than `MOST` files), files whose oldest day has left the window, because days that no window
reaches may go, and files of which somebody said that the lost rows shall stay away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from batch.importing.imported import rows_by_source
from batch.jobs.context import Context
from batch.lake import snapshots, tables
from batch.lake.conflict import retried
from batch.lake.guarded_commit import commit
from impressions.core import window
from impressions.core.slot import next_slot_ms
from impressions.core.spec import DAY_MS, Spec

if TYPE_CHECKING:
    from pyiceberg.table import Table

PROPERTY = "impressions.imported"
MOST = 1_000
"""Sources in one commit; each is some 45 bytes of the table's metadata while that is kept."""


def properties(rows: Mapping[str, int], oldest_ms: Mapping[str, int]) -> dict[str, str]:
    """What the commit of an import says of its files.

    Args:
        rows, oldest_ms: source -> valid rows; ingest time of the oldest of them.
    """
    if not rows or len(rows) > MOST:
        return {}
    return _text({s: (n, oldest_ms[s] // DAY_MS * DAY_MS) for s, n in rows.items() if n})


def accept(context: Context, sources: Iterable[str]) -> int | None:
    """Say that what raw holds of these sources is all that it shall hold; the commit, if any.

    They are not judged again: to complete one later would bring back what shall stay away.
    """

    def attempt() -> int | None:
        table = context.table(tables.RAW)
        held = rows_by_source(table, sources)
        lost = short(table, held, context.spec)
        if not lost:
            return None
        for source, rows in lost.items():
            context.run.note(f"{source}: {held[source]:,} of {rows:,} rows; the others stay away")
        now = _text({source: (held[source], 0) for source in lost})
        return commit(table, [], snapshots.properties(snapshots.CLOSE, context.run.id) | now)

    return retried(attempt)


def short(table: Table | None, held: Mapping[str, int], spec: Spec) -> dict[str, int]:
    """Source -> rows it brought, where raw holds fewer. `held`: source -> rows that it holds."""
    if table is None or not held:
        return {}
    through_ms = snapshots.state(table).valid_through_ms or 0
    first_ms = window.first_slot_ms(next_slot_ms(through_ms, spec), spec)
    said = _recorded(table)
    return {
        source: said[source][0]
        for source, rows in held.items()
        if source in said and rows < said[source][0] and said[source][1] >= first_ms
    }


def _text(said: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    texts = (f"{source}={rows}@{ms}" for source, (rows, ms) in sorted(said.items()))
    return {PROPERTY: ",".join(texts)}


def _recorded(table: Table) -> dict[str, tuple[int, int]]:
    """Source -> (rows, oldest day) as the newest commit of main's line says that speaks of it."""
    said: dict[str, tuple[int, int]] = {}
    for one in snapshots.ancestry(snapshots.by_id(table), snapshots.main_id(table)):
        for text in filter(None, one.summary.get(PROPERTY, "").split(",")):
            source, _, numbers = text.rpartition("=")
            rows, _, oldest_ms = numbers.partition("@")
            said.setdefault(source, (int(rows), int(oldest_ms)))
    return said
