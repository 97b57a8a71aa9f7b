"""The checks before a load copies its first byte: is it loaded already, and can it succeed."""

from __future__ import annotations

import os

from bulkload.copying import check_size
from bulkload.files import free_bytes
from bulkload.load_job import LoadJob
from bulkload.own_directories import is_stray
from impressions.core.errors import CorruptData, Refused
from impressions.terminal.console import human_bytes

STORE_OVERHEAD_BYTES = 1 << 20
"""RocksDB's own files beside the SST files (log, options, manifest): 40 KB measured, rounded up."""


def check_no_stray(job: LoadJob) -> None:
    """Refuse if the directory of the generation is a stray (bulkload/own_directories.py)."""
    home = job.host.paths.generation(job.generation)
    if os.path.lexists(home) and is_stray(home):
        raise Refused(
            f"{home}: a symlink or a file, expected a directory or nothing",
            hint=f"move it away; then impressions bulkload load {job.generation}",
            reason="stray",
        )


def is_loaded(job: LoadJob) -> bool:
    """Whether exactly this generation is loaded, with all shards of this host.

    Raises:
        Refused: `other_manifest`; another one is loaded under the same name.
    """
    if not job.host.generations.is_loaded(job.generation):
        return False
    try:
        loaded = job.host.generations.read(job.generation)
    except CorruptData:
        return False  # its records are damaged: the published generation replaces it
    if loaded.manifest_bytes != job.manifest_bytes:
        raise Refused(
            f"generation {job.generation}: the published manifest (created "
            f"{job.manifest.created_ms}) is not the one that is loaded (created "
            f"{loaded.manifest.created_ms})",
            hint="a name means one content; to take the published one all the same: "
            f"impressions bulkload load {job.generation} --again",
            reason="other_manifest",
        )
    return set(job.settings.host_shards) <= set(loaded.record.shards)


def check_disk_and_sizes(job: LoadJob) -> None:
    """Refuse if the disk has too little space, or a published file has another size."""
    root = job.settings.host_dir
    need, reserve = job.size_bytes + STORE_OVERHEAD_BYTES, int(job.settings.host.reserve_bytes)
    free = free_bytes(root)
    if free - need < reserve:
        raise Refused(
            f"disk of {root}: {free} bytes free ({human_bytes(free)}), expected "
            f"{need + reserve} ({human_bytes(need)} for generation {job.generation} and "
            f"{human_bytes(reserve)} that stay free)",
            hint="impressions bulkload gc, or lower host.reserve_bytes",
            reason="disk_too_small",
        )
    for file in job.files:
        check_size(job.published, job.generation, file)
