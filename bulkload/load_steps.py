"""The steps of a load that write: copy, ingest, check every row, write the records, install.

All of them work in loading/<id>.<pid>/ until the last one, which renames that directory to
generations/<id>. If any step fails, the directory is removed, and nothing else has changed.
"""

from __future__ import annotations

import errno
import shutil
from itertools import count
from pathlib import Path

from bulkload import parallel
from bulkload.copying import copy_verified
from bulkload.files import free_bytes, local_disk, sync_tree, write_durably
from bulkload.load_checks import STORE_OVERHEAD_BYTES
from bulkload.load_job import LoadJob
from bulkload.store_check import check_store
from impressions.clock import Clock
from impressions.core.errors import Refused
from impressions.formats.generation_paths import (
    LOADED,
    MANIFEST,
    REPLACED,
    ROLLED_BACK,
    SEAM,
    STORE,
)
from impressions.formats.manifest import SstFile
from impressions.formats.pointer import Loaded
from impressions.process.descriptors import exhausted
from impressions.process.failpoint import failpoint
from impressions.storage.local_files import sync_directory
from impressions.terminal.console import progress

_MAX_SHOWN = 5
"""Problems of rows in one message: a key that no file should have, then the file that has it."""


def copy_and_install(job: LoadJob, clock: Clock) -> None:
    """Steps 3 to 6 of bulkload/load.py; the caller holds the load lock."""
    workdir = job.host.unfinished.workdir(job.generation)
    try:
        with local_disk(workdir):
            workdir.mkdir(parents=True)
            job.host.paths.generations.mkdir(parents=True, exist_ok=True)
        copies = _copy(job, workdir / "sst")
        _ingest(job, workdir / STORE, copies)
        _check_rows(job, workdir / STORE)
        with local_disk(workdir):
            sync_tree(workdir / STORE)  # before the record that says that it is complete
        shutil.rmtree(workdir / "sst", ignore_errors=True)
        _write_records(job, workdir, clock)
        _install(job, workdir)
    except BaseException:  # nothing half loaded stays, also after Ctrl-C
        shutil.rmtree(workdir, ignore_errors=True)
        raise


def _copy(job: LoadJob, directory: Path) -> dict[int, list[Path]]:
    """Step 3: the paths of the copies, by shard. Raises the error of the first bad file."""
    copies: dict[int, list[Path]] = {shard: [] for shard in job.settings.host_shards}
    for file in job.files:
        target = directory / file.path
        copies[file.shard].append(target)
        with local_disk(target):
            target.parent.mkdir(parents=True, exist_ok=True)
    numbers = count(1)
    with progress("copy", total=job.size_bytes, unit="bytes") as bar:

        def copy(file: SstFile, check_stop: parallel.CheckStop) -> None:
            def advance(size_bytes: int) -> None:
                bar.advance(size_bytes)
                check_stop()

            bar.describe(f"copy SST {next(numbers)} of {len(job.files)}")
            copy_verified(job.published, job.generation, file, directory / file.path, advance)

        parallel.each(job.files, copy)
    return copies


def _ingest(job: LoadJob, store: Path, copies: dict[int, list[Path]]) -> None:
    from impressions.rocksdb import generation_store

    with local_disk(store):
        try:
            generation_store.create(store, copies)
        except Exception as error:  # rocksdict raises bare Exceptions
            if (full := exhausted(error)) is not None:
                raise full from error
            if free_bytes(store) < STORE_OVERHEAD_BYTES:
                raise OSError(errno.ENOSPC, "the disk is full") from error
            raise Refused(
                f"generation {job.generation}: RocksDB does not take its files ({error})",
                hint="as published, but no SST files of ours: impressions export --force",
                reason="not_ingested",
            ) from error


def _check_rows(job: LoadJob, store: Path) -> None:
    with progress("check rows", total=job.profiles) as bar:
        problems = check_store(
            store,
            job.manifest,
            job.settings.host_shards,
            job.settings.spec,
            digests=False,
            advance=bar.advance,
        )
    if problems:
        shown = "; ".join(problem.message for problem in problems[:_MAX_SHOWN])
        more = f" (and {len(problems) - _MAX_SHOWN} more)" if len(problems) > _MAX_SHOWN else ""
        raise Refused(
            f"generation {job.generation}: {shown}{more}",
            hint="impressions export --force; nothing on this host was changed",
            reason=problems[0].reason,
        )


def _write_records(job: LoadJob, workdir: Path, clock: Clock) -> None:
    """The published manifest unchanged, what is known of the generation here, and, last, the
    record of the load."""
    loaded = Loaded(job.generation, job.settings.host_shards, job.profiles, clock())
    write_durably(workdir / MANIFEST, job.manifest_bytes)
    home = job.host.paths.generation(job.generation)
    for kept in (ROLLED_BACK, SEAM):  # of the copy that this one replaces
        if (home / kept).is_file():
            write_durably(workdir / kept, (home / kept).read_bytes())
    write_durably(workdir / LOADED, loaded.encode())


def _install(job: LoadJob, workdir: Path) -> None:
    """Step 6: one rename, or two if a directory of that name is replaced. If the process is killed
    between the two, `UnfinishedLoads.clear` undoes the first."""
    home, aside = job.host.paths.generation(job.generation), None
    with job.host.locks.hold("pointer"), local_disk(home):
        if home.exists():
            aside = workdir.with_name(workdir.name + REPLACED)
            home.rename(aside)
            failpoint("half-replaced")
        workdir.rename(home)
        sync_directory(job.host.paths.generations)
        sync_directory(job.host.paths.loading)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
