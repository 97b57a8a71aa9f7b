"""The time that housekeeping goes by: the earliest that any witness says.

    clock      this host's
    commits    the newest snapshot of any table
    landed     how far a topic is landed, which a broker's clock vouches for; where one is

A clock that is years ahead makes nothing old, for the others have not seen that time. One that is
behind makes nothing old either. Where nothing is committed or landed any more, time stands still,
and so does deleting: nothing new comes that would need the room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake import snapshots
from impressions.core.slot import format_utc

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Agreed:
    """What each witness says, in ms since 1970; None: it says nothing."""

    clock_ms: int
    commits_ms: int | None = None
    landed_ms: int | None = None

    @property
    def now_ms(self) -> int:
        said = (self.clock_ms, self.commits_ms, self.landed_ms)
        return min(ms for ms in said if ms is not None)

    def as_dict(self) -> dict[str, str | None]:
        times = {"clock": self.clock_ms, "commits": self.commits_ms, "landed": self.landed_ms}
        said = {name: None if ms is None else format_utc(ms) for name, ms in times.items()}
        return {"agreed": format_utc(self.now_ms), **said}


def agreed(clock_ms: int, raw: Table | None, tables: Iterable[Table]) -> Agreed:
    """Asks the witnesses. Without a commit only counts decide: what is young or old is not."""
    stamps = [s.timestamp_ms for table in tables for s in table.metadata.snapshots]
    state = snapshots.State() if raw is None else snapshots.state(raw)
    landed_ms = None if state.landed is None else state.valid_through_ms
    return Agreed(clock_ms, max(stamps, default=0), landed_ms)
