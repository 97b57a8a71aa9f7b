"""The manifest: what a generation directory says about itself, written last.

    manifest.json := sealed {"format": 1, the fields of `Manifest`, "files": [`SstFile`]}

Sealed (impressions/sealed.py): a flipped byte anywhere is refused, not read as another number. A
directory without a manifest is no generation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from impressions import sealed
from impressions.errors import CorruptData, FormatVersionError, Refused
from impressions.spec import PARTITIONER, Spec

VERSION = 1


@dataclass(frozen=True)
class SstFile:
    """One SST file: of which shard, where (relative to the manifest), and what is in it.

    Attributes:
        rows: keys, one per profile.   size_bytes: length of the file.
        min_key, max_key: hex of the first and last key.
        sha256: hex, of the file's bytes.   digest: hex, of its (key, value) pairs in order
        (`content_digest`), equal between attempts whose files differ.
    """

    shard: int
    path: str
    rows: int
    size_bytes: int
    min_key: str
    max_key: str
    sha256: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """A published generation.

    Attributes:
        generation, cutover_ms: its name and what it means.
        spec_fingerprint, partitions, partitioner: must equal the reader's.
        raw_snapshot_id, ema_snapshot_id: what it was computed from and exported from.
        profiles, entries: keys in all files; rows of the aggregate table.
        created_ms: when it was written (information only).
        files: ascending by (shard, min_key); a shard without profiles has none.
    """

    generation: str
    cutover_ms: int
    spec_fingerprint: str
    partitions: int
    partitioner: str
    raw_snapshot_id: int
    ema_snapshot_id: int
    profiles: int
    entries: int
    created_ms: int
    files: tuple[SstFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def of_shards(self, shards: Iterable[int]) -> tuple[SstFile, ...]:
        """The files of these shards."""
        wanted = set(shards)
        return tuple(file for file in self.files if file.shard in wanted)


def encode(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`."""
    return sealed.seal({"format": VERSION, **asdict(manifest)})


def decode(data: bytes, name: str = "manifest.json") -> Manifest:
    """Read a manifest.

    Raises:
        FormatVersionError: written by another format version.
        CorruptData: damaged, or not a manifest.
    """
    body = sealed.unseal(data, name)
    version = body.pop("format", None)
    if version != VERSION:
        raise FormatVersionError(
            f"{name}: format version {version}, expected {VERSION}",
            hint="export the generation again with this version",
        )
    try:
        files = tuple(SstFile(**file) for file in body.pop("files"))
        return Manifest(files=files, **body)
    except (KeyError, TypeError) as error:
        raise CorruptData(f"{name}: not a manifest ({error})") from None


def check_fits(manifest: Manifest, spec: Spec, partitions: int) -> None:
    """Refuse a generation that was made with other numbers than the reader's.

    Raises:
        Refused: reason `wrong_spec`, `wrong_partitions` or `wrong_partitioner`, with both values.
    """
    pairs = (
        ("wrong_spec", "spec fingerprint", manifest.spec_fingerprint, spec.fingerprint),
        ("wrong_partitions", "number of partitions", manifest.partitions, partitions),
        ("wrong_partitioner", "partitioner", manifest.partitioner, PARTITIONER),
    )
    for reason, what, found, expected in pairs:
        if found != expected:
            raise Refused(
                f"generation {manifest.generation}: {what} {found}, this host has {expected}",
                hint="compact and export it with the settings of this host, or change the host's",
                reason=reason,
            )


def content_digest(pairs: Iterable[tuple[bytes, bytes]]) -> str:
    """Hex SHA-256 over (key, value) pairs in order, each part preceded by its length."""
    digest = ContentDigest()
    for key, value in pairs:
        digest.add(key, value)
    return digest.hexdigest()


class ContentDigest:
    """`content_digest`, fed pair by pair."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, key: bytes, value: bytes) -> None:
        self._hash.update(len(key).to_bytes(4, "little") + key)
        self._hash.update(len(value).to_bytes(4, "little"))
        self._hash.update(value)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
