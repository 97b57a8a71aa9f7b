"""The manifest: what a generation directory says about itself, written last.

    manifest.json := sealed {"format": 1, the fields of `Manifest`, "files": [`SstFile`]}

Sealed (impressions/formats/sealed.py): a flipped byte anywhere is refused, not read as another
number. A directory without a manifest is no generation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from impressions.core.errors import CorruptData, Refused
from impressions.core.spec import PARTITIONER, Spec
from impressions.formats import sealed
from impressions.formats.generation_paths import is_generation

VERSION = 1
_REBUILD = "with this version: impressions export --generation <generation> --force"
_KEY, _DIGEST = re.compile("[0-7][0-9a-f]{15}"), re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class SstFile:
    """One SST file: of which shard, where (relative to the manifest), and what is in it.

    Attributes:
        rows: keys, one per profile.   size_bytes: length of the file.
        min_key, max_key: hex of the first and last key.
        sha256: hex, of the file's bytes.   digest: hex, of its (key, value) pairs in order
        (`ContentDigest`), equal between attempts whose files differ.
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
        history_until_ms: files brought rows ingested from the cutover until before this; they are
            in no generation yet, and the stream never saw them. 0 where there are none.
        accepted: findings about days of its window that somebody accepted: which, who, when, why.
        compared: what was found where shards were computed both from scratch and from the
            generation before.
    `accepted` and `compared` are left out of the file where there are none.
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
    history_until_ms: int = 0
    accepted: tuple[str, ...] = ()
    compared: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def content(self) -> list[tuple[int, str, str, int, str]]:
        """What its rows are, however attempts divided and named them."""
        return [(f.shard, f.min_key, f.max_key, f.rows, f.digest) for f in self.files]

    def lacking(self, sizes: Mapping[str, int]) -> list[SstFile]:
        """Its files that are not there with their length, by path -> bytes of those that are."""
        return [file for file in self.files if sizes.get(file.path) != file.size_bytes]

    def of_shards(self, shards: Iterable[int]) -> tuple[SstFile, ...]:
        """The files of these shards."""
        wanted = set(shards)
        return tuple(file for file in self.files if file.shard in wanted)


def encode(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`."""
    fields = asdict(manifest)
    for name in ("accepted", "compared"):
        if not fields[name]:
            del fields[name]
    return sealed.seal({"format": VERSION, **fields})


def decode(data: bytes, name: str = "manifest.json") -> Manifest:
    """Read a manifest.

    Raises:
        FormatVersionError: written in another format.
        CorruptData: damaged, or not a manifest.
    """
    body = sealed.unseal(data, name)
    sealed.check_version(body, name, VERSION, _REBUILD)
    files = body.get("files")
    if isinstance(files, list):
        body["files"] = [sealed.as_record(SstFile, file, f"{name}: a file") for file in files]
    manifest = sealed.as_record(Manifest, body, name)
    if not is_generation(manifest.generation):
        raise CorruptData(f"{name}: {manifest.generation!r} is no generation's name")
    for file in manifest.files:
        _check_texts(file, name)
    return manifest


def _check_texts(file: SstFile, name: str) -> None:
    """Refuse keys and digests that are none. Raises CorruptData."""
    for field in ("min_key", "max_key", "sha256", "digest"):
        pattern, text = _KEY if field.endswith("key") else _DIGEST, getattr(file, field)
        if not pattern.fullmatch(text):
            raise CorruptData(
                f"{name}: {file.path}: {field} is {text!r:.80}, expected hex like {pattern.pattern}"
            )


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


class ContentDigest:
    """SHA-256, in hex, over (key, value) pairs in order, each part preceded by its length."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, key: bytes, value: bytes) -> None:
        self._hash.update(len(key).to_bytes(4, "little") + key)
        self._hash.update(len(value).to_bytes(4, "little"))
        self._hash.update(value)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
