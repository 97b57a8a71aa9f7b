"""Heal: a rotten generation is loaded again from its published copy, and takes its own place.

    1. check      every byte is read again under the load lock: a gc beside it looks like damage
    2. published  the manifest is read; where ours can still be read, it must list the same content
    3. load       copy, ingest, check every row in loading/, as every load does
    4. swap       two renames; servers open the new directory within serving.poll_s

Until 4 the rotten directory stays where it is, and a server answers from it what can be read. If
the published copy is rotten too, 3 refuses and nothing has changed: the last copy is never removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bulkload.check import problems_of
from bulkload.host import Host
from bulkload.load_checks import check_disk_and_sizes, check_no_stray
from bulkload.load_job import LoadJob, job_of
from bulkload.load_steps import copy_and_install
from bulkload.loaded_generations import checked_name
from bulkload.published_generations import PublishedGenerations, open_published
from bulkload.store_check import Problem
from impressions.clock import Clock, now_ms
from impressions.core.errors import CorruptData, NotReady, Refused
from impressions.history.run_record import HEALED
from impressions.process.failpoint import failpoint
from impressions.process.recording import event
from impressions.settings.model import Settings


@dataclass(frozen=True)
class Healing:
    """What became of one generation; `problems` are what was found before.

    action: whole: nothing was wrong; rotten: it is and stays so.
    """

    generation: str
    action: Literal["whole", "healed", "would_heal", "rotten"]
    problems: tuple[Problem, ...] = ()

    @property
    def first(self) -> str:
        """The first problem, for a line."""
        return self.problems[0].message if self.problems else ""


def heal(
    settings: Settings,
    generation: str,
    *,
    published: PublishedGenerations | None = None,
    dry_run: bool = False,
    clock: Clock = now_ms,
) -> Healing:
    """Load a generation of this host again if it is rotten.

    Raises:
        Refused: the published copy is rotten too, is gone, holds other content, or does not fit
            the disk; nothing was changed.
        NotReady: another load or gc is running.
        ServiceError: the storage kept failing.
    """
    generation = checked_name(generation)
    host = Host(settings.host_dir)
    _require_here(host, generation)
    if dry_run:
        found = problems_of(settings, generation, clock, every_byte=True, dry_run=True)
        return Healing(generation, "would_heal" if found else "whole", found)
    with host.locks.hold("load"):
        host.unfinished.clear()
        found = problems_of(settings, generation, clock, every_byte=True)
        if not found:
            return Healing(generation, "whole")
        failpoint("before-heal")
        job = job_of(settings, generation, published or open_published(settings.generations))
        _check_same_content(job)
        check_no_stray(job)
        check_disk_and_sizes(job)
        copy_and_install(job, clock)
    event(HEALED, "rotten generation loaded again", f"{generation}: {found[0].message}")
    return Healing(generation, "healed", found)


def _require_here(host: Host, generation: str) -> None:
    """Raises NotReady where it is neither loaded nor named by the pointer."""
    pointer = host.whole_pointer()
    is_active = pointer is not None and pointer.generation == generation
    if not is_active and not host.generations.is_loaded(generation):
        raise NotReady(
            f"generation {generation} is not loaded on this host",
            hint=f"impressions bulkload load {generation}",
            reason="not_loaded",
        )


def _check_same_content(job: LoadJob) -> None:
    """Raises Refused where another content was published under the name since it was loaded."""
    try:
        ours = job.host.generations.read(job.generation).manifest
    except (CorruptData, NotReady):
        return  # nothing here says what it held
    if sorted(ours.content) != sorted(job.manifest.content):
        raise Refused(
            f"generation {job.generation} is rotten on this host, and what is published under its "
            "name now has another content",
            hint=f"if that is meant: impressions bulkload load {job.generation} --again",
            reason="other_manifest",
        )
