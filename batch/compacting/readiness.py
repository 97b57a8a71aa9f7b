"""Whether a generation may be computed: raw is complete and closed, and the date is not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.compacting.job import Compacting
from batch.compacting.window import Window, survey
from batch.lake import refs, snapshots
from batch.lake.generations import Generation, History
from impressions.core.errors import NotReady, Refused
from impressions.core.slot import format_utc
from impressions.formats.generation_paths import ref_name
from impressions.terminal.console import human_time

if TYPE_CHECKING:
    from pyiceberg.table import Table


def window_of_main(job: Compacting, raw: Table) -> Window:
    """The window in raw's newest snapshot, which reaches the cutover. Raises NotReady."""
    now = snapshots.state(raw)
    through_ms = now.valid_through_ms
    if now.snapshot_id is None or through_ms is None or through_ms < job.cutover_ms:
        reach = "nowhere yet" if through_ms is None else f"up to {format_utc(through_ms)}"
        raise NotReady(
            f"raw is complete {reach}, expected at least {format_utc(job.cutover_ms)}",
            hint="land what is missing; if nothing is, run the last land again with "
            f"--valid-through {format_utc(job.cutover_ms)}",
            reason="not_valid_through",
        )
    return survey(raw, now.snapshot_id, job.cutover_ms, job.spec)


def window_of_source(job: Compacting, raw: Table, generation: Generation) -> Window:
    """The window in the snapshot that a generation was computed from.

    Raises:
        NotReady: the snapshot has expired.   Refused: it holds another content.
    """
    if generation.source_id not in snapshots.by_id(raw):
        raise NotReady(
            f"snapshot {generation.source_id} of {job.raw}, from which {job.name} was computed, "
            "has expired",
            hint=f"it is kept for {refs.TAG_DAYS} days by tag {ref_name('src', job.cutover_ms)}",
            reason="source_expired",
        )
    window = survey(raw, generation.source_id, job.cutover_ms, job.spec)
    require_same(job, generation, window)
    return window


def require_same(job: Compacting, generation: Generation, window: Window) -> None:
    """Raises Refused where a generation was published from another content of its window."""
    if window.digest != generation.window_digest:
        raise Refused(
            f"generation {job.name} was published from a window with digest "
            f"{generation.window_digest[:16]}, raw now has {window.digest[:16]}: a different table "
            "state is never published under the same name",
            hint="what changed since is in the next generation: compact a later date",
            reason="window_changed",
        )


def require_later(job: Compacting, known: History) -> None:
    """Raises Refused where main shows a later generation."""
    if known.main is not None and known.main.cutover_ms > job.cutover_ms:
        raise Refused(
            f"main of {job.ema} is at generation {known.main.name}, later than {job.name}: "
            "generations are published in order",
            hint=f"compact a date after {known.main.name}",
            reason="earlier_date",
        )


def require_closed(job: Compacting, window: Window) -> None:
    """Raises NotReady, naming slots of the window that are open."""
    if not window.open_slots:
        return
    count, names = len(window.open_slots), [human_time(ms) for ms in window.open_slots[:5]]
    more = f" and {count - len(names)} more" if count > len(names) else ""
    raise NotReady(
        f"{count} of {len(window.slots)} slots before {format_utc(job.cutover_ms)} are open: "
        f"{', '.join(names)}{more}; expected all closed",
        hint="impressions close",
        reason="open_slots",
    )
