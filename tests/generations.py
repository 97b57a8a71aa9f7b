"""Builds small published generations for tests: raw events in, real SST files and a manifest out.

    applied, _ = naive.accept(logs)                   events, as the oracle takes them
    blocks = blocks_of(applied, cutover_ms)           {profile: bytes of its profile block}
    manifest = publish(generations_dir, blocks, cutover_ms)

The sums come from the core (tests/blocks.py), never from the oracle, so that a test may compare
what is served from such a generation with `naive.answers(applied, query_ms)`. `publish` takes any
bytes as blocks: a test that needs a bad one writes a bad one.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from impressions.core import window
from impressions.core.item import profile_key
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS, PARTITIONER, Spec
from impressions.formats.generation_paths import MANIFEST, generation_id, sst_path
from impressions.formats.manifest import ContentDigest, Manifest, SstFile, encode
from impressions.rocksdb import generation_store
from tests.blocks import profile_block_of

Applied = tuple[int, dict[str, Any], int]
"""(profile, {"title", "location", "event_ms", "played", "dwell_s"}, ingest_ms)."""

SPEC = Spec()
CUTOVER_MS = 20_772 * DAY_MS  # 2026-11-15, a UTC midnight


def random_events(
    seed: int, cutover_ms: int = CUTOVER_MS, profiles: int = 40, per_profile: int = 30
) -> list[Applied]:
    """Accepted events of profiles 1..n, ingested before the cutover, spread over a year."""
    rng = random.Random(seed)
    events: list[Applied] = []
    for profile in range(1, profiles + 1):
        for _ in range(rng.randint(1, per_profile)):
            event_ms = cutover_ms - rng.randint(1, 365 * DAY_MS)
            event = {
                "title": rng.randint(1, 12),
                "location": rng.randint(0, 3),
                "event_ms": event_ms,
                "played": rng.randint(0, 1),
                "dwell_s": round(rng.expovariate(0.2), 3),
            }
            events.append((profile, event, min(event_ms + rng.randint(0, DAY_MS), cutover_ms - 1)))
    return sorted(events, key=lambda applied: applied[2])


def blocks_of(
    applied: Iterable[Applied], cutover_ms: int = CUTOVER_MS, spec: Spec = SPEC
) -> dict[int, bytes]:
    """The profile block of every profile with events of this generation: ingested before the
    cutover, their day still in the window at it."""
    by_profile: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for profile, event, ingest_ms in applied:
        in_window = window.utc_day(event["event_ms"]) >= window.first_day(cutover_ms, spec)
        if ingest_ms < cutover_ms and in_window:
            by_profile[profile].append(event)
    return {
        profile: profile_block_of(events, cutover_ms, spec)
        for profile, events in by_profile.items()
    }


def publish(
    generations_dir: Path,
    blocks: Mapping[int, bytes],
    cutover_ms: int = CUTOVER_MS,
    *,
    spec: Spec = SPEC,
    partitions: int = 8,
    files_per_shard: int = 1,
    **manifest_fields: Any,
) -> Manifest:
    """Write `<generations_dir>/<id>/`: SST files per shard, then manifest.json. Other fields of the
    manifest (entries, snapshot ids, even wrong ones) may be given by name."""
    generation = generation_id(cutover_ms)
    root = generations_dir / generation
    by_shard: dict[int, list[int]] = defaultdict(list)
    for profile in sorted(blocks):
        by_shard[shard_of(profile, partitions)].append(profile)
    files: list[SstFile] = []
    for shard, profiles in sorted(by_shard.items()):
        parts = [part.tolist() for part in np.array_split(profiles, files_per_shard) if len(part)]
        for number, part in enumerate(parts):
            pairs = [(profile_key(profile), blocks[profile]) for profile in part]
            files.append(_write_sst(root, shard, number, pairs))
    manifest = Manifest(
        **{
            "generation": generation,
            "cutover_ms": cutover_ms,
            "spec_fingerprint": spec.fingerprint,
            "partitions": partitions,
            "partitioner": PARTITIONER,
            "raw_snapshot_id": 1,
            "ema_snapshot_id": 2,
            "profiles": len(blocks),
            "entries": len(blocks),
            "created_ms": cutover_ms + 1,
            "files": tuple(files),
            **manifest_fields,
        }
    )
    root.mkdir(parents=True, exist_ok=True)
    (root / MANIFEST).write_bytes(encode(manifest))
    return manifest


def content_digest(pairs: Iterable[tuple[bytes, bytes]]) -> str:
    digest = ContentDigest()
    for key, value in pairs:
        digest.add(key, value)
    return digest.hexdigest()


def _write_sst(root: Path, shard: int, part: int, pairs: Sequence[tuple[bytes, bytes]]) -> SstFile:
    name = sst_path(shard, part, "0a1b2c3d")
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = generation_store.sst_writer(path)
    for key, value in pairs:
        writer[key] = value
    writer.finish()
    data = path.read_bytes()
    return SstFile(
        shard=shard,
        path=name,
        rows=len(pairs),
        size_bytes=len(data),
        min_key=pairs[0][0].hex(),
        max_key=pairs[-1][0].hex(),
        sha256=hashlib.sha256(data).hexdigest(),
        digest=content_digest(pairs),
    )
