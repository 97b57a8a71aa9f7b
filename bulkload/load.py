"""Load: copy one published generation to this host, completely or not at all.

    1. manifest   read, unseal, check that it fits this host (bulkload/load_job.py)
    2. disk       this host's shards must fit and leave `host.reserve_bytes` free
                  (bulkload/load_checks.py)
    3. copy       every file to loading/<id>.<pid>/, hashed while it is copied, two at a time
    4. ingest     all files of a shard in one call into a new RocksDB
    5. check      every row, because ingest verifies no checksum (bulkload/store_check.py); fsync
    6. install    manifest.json, then loaded.json, fsync, one rename to generations/<id>
                  (3 to 6: bulkload/load_steps.py)

Until the rename of step 6 nothing outside loading/ has changed, and a refusal removes the
directory there. To load a generation that is loaded already is a success that does nothing. It is
loaded again, and replaces the old directory, if this host's shards have grown or with `again`;
servers that have the old directory open read it until they open the generation again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bulkload.files import free_bytes
from bulkload.load_checks import check_disk_and_sizes, check_no_stray, is_loaded
from bulkload.load_job import LoadJob, job_of
from bulkload.load_steps import copy_and_install
from bulkload.published_generations import PublishedGenerations, open_published
from impressions.clock import Clock, monotonic_s, now_ms
from impressions.settings.model import Settings

Action = Literal["loaded", "already_loaded", "would_load"]


@dataclass(frozen=True)
class LoadReport:
    """What a load did, or would do; `size_bytes` and `profiles` are of this host's shards."""

    generation: str
    action: Action
    shards: tuple[int, ...]
    files: int
    size_bytes: int
    profiles: int
    free_bytes: int
    seconds: float


def load(
    settings: Settings,
    generation: str,
    *,
    dry_run: bool = False,
    again: bool = False,
    published: PublishedGenerations | None = None,
    clock: Clock = now_ms,
) -> LoadReport:
    """Load a generation.

    Args:
        generation: its name, or "latest": the newest complete one not rolled back here.
        again: load it even if it is loaded, for instance because it is damaged, or because the
            published one differs from the loaded.
        published: where from; default: `settings.generations`.

    Raises:
        Refused: the generation must not be used, or does not fit the disk; nothing was changed.
        NotReady: another load is running, or nothing is published.
        ServiceError: the storage kept failing; nothing was changed.
    """
    started_s = monotonic_s()
    job = job_of(settings, generation, published or open_published(settings.generations))
    action = _plan(job, again) if dry_run else _load(job, again, clock)
    return LoadReport(
        generation=job.generation,
        action=action,
        shards=settings.host_shards,
        files=len(job.files),
        size_bytes=job.size_bytes,
        profiles=job.profiles,
        free_bytes=free_bytes(settings.host_dir),
        seconds=round(monotonic_s() - started_s, 3),
    )


def _plan(job: LoadJob, again: bool) -> Action:
    """What a load would do. Takes no lock, writes nothing."""
    check_no_stray(job)
    if not again and is_loaded(job):
        return "already_loaded"
    check_disk_and_sizes(job)
    return "would_load"


def _load(job: LoadJob, again: bool, clock: Clock) -> Action:
    check_no_stray(job)
    with job.host.locks.hold("load"):
        job.host.unfinished.clear()
        if not again and is_loaded(job):
            return "already_loaded"
        check_disk_and_sizes(job)
        copy_and_install(job, clock)
    return "loaded"
