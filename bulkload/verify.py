"""Verify: read every byte and row of a generation again, on this host or as it is published.

On this host, everything that a load checks and more, because bits on disks flip:

    records     manifest.json and loaded.json unseal, belong together and fit the settings
    files       SHA-256 of every SST file in the store equals one of the manifest: an ingest moves
                files and does not change them, so a flipped bit anywhere shows, also in filters
    rows        a scan with block checksums; per file rows, keys and content digest

Published: the manifest fits this host, and the length and SHA-256 of every file are right. All
problems are collected, so one run names every bad file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bulkload.compatibility import check_compatible
from bulkload.copying import copy_verified
from bulkload.files import chunks_of
from bulkload.host import Host
from bulkload.loaded_generations import LATEST, LoadedGeneration, checked_name
from bulkload.published_generations import PublishedGenerations, decode_manifest, open_published
from bulkload.store_check import Problem, check_store
from impressions.clock import monotonic_s
from impressions.core.errors import CorruptData, ImpressionsError, NotReady, Refused
from impressions.formats.generation_paths import MANIFEST
from impressions.formats.manifest import check_fits
from impressions.settings.model import Settings
from impressions.terminal.console import progress


@dataclass(frozen=True)
class VerifyReport:
    """What was read, and all problems; `ok` if there are none."""

    generation: str
    where: str
    files: int
    size_bytes: int
    profiles: int
    problems: tuple[Problem, ...]
    seconds: float
    ok: bool
    exit_code: int


def verify_host(settings: Settings, generation: str | None) -> VerifyReport:
    """Check a loaded generation; `None` = the active one.

    Raises:
        NotReady: it is not loaded, or nothing is active.
        CorruptData: the pointer is damaged and no generation was named.
    """
    started_s = monotonic_s()
    host = Host(settings.host_dir)
    generation = checked_name(generation or _active(host))
    try:
        loaded = host.generations.read(generation)
        check_fits(loaded.manifest, settings.spec, settings.partitions)
    except (CorruptData, Refused) as error:
        problem = Problem(error.reason, error.message)
        where = str(host.paths.generation(generation))
        return _report(generation, where, (0, 0, 0), [problem], CorruptData, started_s)
    files = loaded.manifest.of_shards(loaded.record.shards)
    store = host.paths.store(generation)
    sizes = (len(files), sum(f.size_bytes for f in files), sum(f.rows for f in files))
    with progress("verify files", total=sizes[1], unit="bytes") as bar:
        problems = _check_files(loaded, store, bar.advance)
    with progress("verify rows", total=sizes[2]) as bar:
        problems += check_store(
            store,
            loaded.manifest,
            loaded.record.shards,
            settings.spec,
            digests=True,
            advance=bar.advance,
        )
    return _report(generation, str(store), sizes, problems, CorruptData, started_s)


def verify_published(
    settings: Settings, generation: str | None, published: PublishedGenerations | None = None
) -> VerifyReport:
    """Check all files of a published generation; `None` or "latest" = the newest complete one.

    Raises:
        Refused: the manifest is missing, damaged or not for this host.
        NotReady: nothing is published.
        ServiceError: the storage kept failing.
    """
    started_s = monotonic_s()
    source = published or open_published(settings.generations)
    if generation is None or generation == LATEST:
        generation = source.newest(skip=set())
    generation = checked_name(generation)
    name = source.name(generation, MANIFEST)
    manifest = decode_manifest(source.manifest_bytes(generation), name)
    check_compatible(manifest, generation, settings.spec, settings.partitions)
    problems = []
    with progress("verify", total=manifest.size_bytes, unit="bytes") as bar:
        for number, file in enumerate(manifest.files, 1):
            bar.describe(f"verify SST {number} of {len(manifest.files)}")
            try:
                copy_verified(source, generation, file, None, bar.advance)
            except Refused as error:
                problems.append(Problem(error.reason, error.message))
    sizes = (len(manifest.files), manifest.size_bytes, manifest.profiles)
    where = name.removesuffix(f"/{MANIFEST}")
    return _report(generation, where, sizes, problems, Refused, started_s)


def _active(host: Host) -> str:
    if pointer := host.pointer():
        return pointer.generation
    raise NotReady(
        "no generation is active: expected the name of a loaded one",
        hint="impressions bulkload verify <generation>",
        reason="nothing_active",
    )


def _check_files(
    loaded: LoadedGeneration, store: Path, advance: Callable[[int], None]
) -> list[Problem]:
    """Files of the store that the manifest does not have, and the other way round."""
    files = loaded.manifest.of_shards(loaded.record.shards)
    expected, present = {file.sha256: file for file in files}, set()
    problems = []
    for path in filter(Path.is_file, sorted(store.glob("*/*.sst"))):
        sha256 = _sha256(path, advance)
        present.add(sha256)
        if sha256 not in expected and not path.is_symlink():
            problems.append(
                Problem("wrong_checksum", f"{path}: sha256 {sha256} is of no file of the manifest")
            )
    problems += [
        Problem("missing_file", f"{store}: no file with the content of {file.path}")
        for sha256, file in expected.items()
        if sha256 not in present
    ]
    return problems


def _sha256(path: Path, advance: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for chunk in chunks_of(file):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()


def _report(
    generation: str,
    where: str,
    sizes: tuple[int, int, int],
    problems: list[Problem],
    failure: type[ImpressionsError],
    started_s: float,
) -> VerifyReport:
    files, size_bytes, profiles = sizes
    return VerifyReport(
        generation=generation,
        where=where,
        files=files,
        size_bytes=size_bytes,
        profiles=profiles,
        problems=tuple(problems),
        seconds=round(monotonic_s() - started_s, 3),
        ok=not problems,
        exit_code=failure.exit_code if problems else 0,
    )
