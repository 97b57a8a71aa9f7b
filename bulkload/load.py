"""Load: one published generation onto this host, wholly or not at all.

    1. manifest   read, unseal, admit (bulkload/compatibility.py)
    2. disk       this host's shards must fit and leave `host.reserve_bytes` free
    3. copy       every file to loading/<id>.<pid>/, hashed on the way, two at a time
    4. ingest     all files of a shard in one call into a fresh RocksDB
    5. check      every row, because ingest verifies no checksum (bulkload/store_check.py); fsync
    6. install    manifest.json, then loaded.json, fsync, one rename to generations/<id>

Until the rename of step 6 nothing outside loading/ has changed, and a refusal removes what lies
there. A generation that is loaded already is a success that does nothing. It is loaded again, and
takes the place of the old directory, when this host's shards have grown or on `again`; servers that
have the old directory open go on reading it until they open the generation again.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from bulkload import parallel
from bulkload.compatibility import admit
from bulkload.copying import check_size, copy_verified
from bulkload.files import free_bytes, is_stray, local_disk, sync_dir, sync_tree, write_durably
from bulkload.host import Host, checked
from bulkload.published_generations import Published, decode_manifest, open_published
from bulkload.store_check import check_store
from impressions.clock import Clock, monotonic_s, now_ms
from impressions.core.errors import CorruptData, Refused
from impressions.formats.generation_paths import LOADED, MANIFEST, REPLACED, ROLLED_BACK, STORE
from impressions.formats.manifest import Manifest, SstFile
from impressions.formats.pointer import Loaded, encode_loaded
from impressions.process.descriptors import exhausted
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings
from impressions.terminal.console import human_bytes, progress

LATEST = "latest"

STORE_OVERHEAD_BYTES = 1 << 20
"""RocksDB's own files beside the SST files (log, options, manifest): measured 40 KB, with room."""

MAX_SHOWN = 5
"""Problems of rows in one message: a key that no file should have, then the file that has it."""

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


@dataclass(frozen=True)
class _Job:
    """An admitted generation and where it goes."""

    published: Published
    host: Host
    settings: Settings
    manifest: Manifest
    manifest_bytes: bytes

    @property
    def generation(self) -> str:
        return self.manifest.generation

    @property
    def files(self) -> tuple[SstFile, ...]:
        return self.manifest.of_shards(self.settings.host_shards)

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def profiles(self) -> int:
        return sum(file.rows for file in self.files)


def load(
    settings: Settings,
    generation: str,
    *,
    dry_run: bool = False,
    again: bool = False,
    published: Published | None = None,
    clock: Clock = now_ms,
) -> LoadReport:
    """Bring a generation onto this host.

    Args:
        generation: its name, or "latest": the newest complete one not rolled back here.
        again: load it even if it is loaded, for instance after `verify` found damage, or if the
            published one is another than the loaded.
        published: where from; default: `settings.generations`.

    Raises:
        Refused: the generation must not be used, or does not fit the disk; nothing was changed.
        NotReady: another load is running, or nothing is published.
        ServiceError: the storage kept failing; nothing was changed.
    """
    started_s = monotonic_s()
    job = _admitted(settings, generation, published or open_published(settings.generations))
    action = _plan(job, again) if dry_run else _carry_out(job, again, clock)
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


def _admitted(settings: Settings, generation: str, source: Published) -> _Job:
    """Step 1: the manifest that was asked for, fit for this host."""
    host = Host(settings.host_dir)
    if generation == LATEST:
        generation = source.newest(skip=host.marked())
    generation = checked(generation)
    data = source.manifest_bytes(generation)
    manifest = decode_manifest(data, source.name(generation, MANIFEST))
    admit(manifest, generation, settings.spec, settings.partitions)
    return _Job(source, host, settings, manifest, data)


def _plan(job: _Job, again: bool) -> Action:
    """What a load would do. Takes no lock, writes nothing."""
    _check_place(job)
    if not again and _is_loaded(job):
        return "already_loaded"
    _check_room_and_sizes(job)
    return "would_load"


def _carry_out(job: _Job, again: bool, clock: Clock) -> Action:
    _check_place(job)
    with job.host.lock("load"):
        job.host.clear_unfinished()
        if not again and _is_loaded(job):
            return "already_loaded"
        _load(job, clock)
    return "loaded"


def _check_place(job: _Job) -> None:
    """Refuse to put a generation where something lies that no load brought."""
    home = job.host.paths.generation(job.generation)
    if os.path.lexists(home) and is_stray(home):
        raise Refused(
            f"{home}: a symlink or a file, expected a directory or nothing",
            hint=f"move it away; then impressions bulkload load {job.generation}",
            reason="stray",
        )


def _is_loaded(job: _Job) -> bool:
    """Whether this very generation is here with all of this host's shards.

    Raises:
        Refused: `other_manifest`; another one is here under the same name.
    """
    if not job.host.has_loaded(job.generation):
        return False
    try:
        held = job.host.held(job.generation)
    except CorruptData:
        return False  # its records are damaged: what is published takes its place
    if held.manifest_bytes != job.manifest_bytes:
        raise Refused(
            f"generation {job.generation}: the published manifest (created "
            f"{job.manifest.created_ms}) is not the one that is loaded (created "
            f"{held.manifest.created_ms})",
            hint="a name means one content; to take the published one all the same: "
            f"impressions bulkload load {job.generation} --again",
            reason="other_manifest",
        )
    return set(job.settings.host_shards) <= set(held.loaded.shards)


def _check_room_and_sizes(job: _Job) -> None:
    """Refuse what can be known to fail before the first byte is copied."""
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


def _load(job: _Job, clock: Clock) -> None:
    """Steps 2 to 6, under the load lock."""
    _check_room_and_sizes(job)
    workdir = job.host.workdir(job.generation)
    try:
        with local_disk(workdir):
            workdir.mkdir(parents=True)
            job.host.paths.generations.mkdir(parents=True, exist_ok=True)
        copies = _copy(job, workdir / "sst")
        _ingest(job, workdir / STORE, copies)
        _check(job, workdir / STORE)
        with local_disk(workdir):
            sync_tree(workdir / STORE)  # before the record that says that it is there
        shutil.rmtree(workdir / "sst", ignore_errors=True)
        _write_records(job, workdir, clock)
        _install(job, workdir)
    except BaseException:  # nothing half loaded stays, also after Ctrl-C
        shutil.rmtree(workdir, ignore_errors=True)
        raise


def _copy(job: _Job, directory: Path) -> dict[int, list[Path]]:
    """Step 3: the copies by shard. Raises what is wrong with the first bad file."""
    copies: dict[int, list[Path]] = {shard: [] for shard in job.settings.host_shards}
    for file in job.files:
        target = directory / file.path
        copies[file.shard].append(target)
        with local_disk(target):
            target.parent.mkdir(parents=True, exist_ok=True)
    numbers = count(1)
    with progress("copy", total=job.size_bytes, unit="bytes") as bar:

        def copy(file: SstFile, go_on: parallel.GoOn) -> None:
            def advance(size_bytes: int) -> None:
                bar.advance(size_bytes)
                go_on()

            bar.describe(f"copy SST {next(numbers)} of {len(job.files)}")
            copy_verified(job.published, job.generation, file, directory / file.path, advance)

        parallel.each(job.files, copy)
    return copies


def _ingest(job: _Job, store: Path, copies: dict[int, list[Path]]) -> None:
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


def _check(job: _Job, store: Path) -> None:
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
        shown = "; ".join(problem.message for problem in problems[:MAX_SHOWN])
        more = f" (and {len(problems) - MAX_SHOWN} more)" if len(problems) > MAX_SHOWN else ""
        raise Refused(
            f"generation {job.generation}: {shown}{more}",
            hint="impressions export --force; nothing on this host was changed",
            reason=problems[0].reason,
        )


def _write_records(job: _Job, workdir: Path, clock: Clock) -> None:
    """The published manifest as it is, then the record that says: finished."""
    loaded = Loaded(job.generation, job.settings.host_shards, job.profiles, clock())
    write_durably(workdir / MANIFEST, job.manifest_bytes)
    if job.host.is_rolled_back(job.generation):
        mark = job.host.paths.rolled_back(job.generation)
        write_durably(workdir / ROLLED_BACK, mark.read_bytes())
    write_durably(workdir / LOADED, encode_loaded(loaded))


def _install(job: _Job, workdir: Path) -> None:
    """One rename, or two where a directory of that name is replaced; `clear_unfinished` undoes the
    first of two if the second never came."""
    home, aside = job.host.paths.generation(job.generation), None
    with job.host.lock("pointer"), local_disk(home):
        if home.exists():
            aside = workdir.with_name(workdir.name + REPLACED)
            home.rename(aside)
            failpoint("half-replaced")
        workdir.rename(home)
        sync_dir(job.host.paths.generations)
        sync_dir(job.host.paths.loading)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
