"""Every row of a store compared with the manifest, for `load` and `verify`.

One scan of all shards; each row is counted in the tally of its file, by (shard, key range):

    1. scan      block checksums (impressions/rocksdb/scan.py)
    2. shard     the row is in the shard of its key, where a get reads, and a file covers the key
    3. decode    the value is a profile block of this spec, relative to this cutover
    4. compare   rows, first and last key, and on request the content digest of each file

Problems are collected, not raised: `load` refuses with the first, `verify` prints them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from impressions.compiled.sound_blocks import is_sound
from impressions.core.errors import CorruptData
from impressions.core.shard import shards_of
from impressions.core.spec import Spec
from impressions.formats import profile_block
from impressions.formats.generation_paths import shard_dir
from impressions.formats.manifest import ContentDigest, Manifest, SstFile

CHUNK_ROWS = 16
"""Rows that are checked together. Few, so that the memory of one chunk is used again for the next:
with 512 rows of 130 KB, three quarters of the time of a scan went into new pages."""

KEY_BYTES = 8
MAX_PROBLEMS = 100


@dataclass(frozen=True)
class Problem:
    """One problem: a stable word, and a sentence with the actual and the expected value."""

    reason: str
    message: str


@dataclass
class _Tally:
    """The rows of one file that were read."""

    file: SstFile
    digest: ContentDigest | None
    rows: int = 0
    first: bytes = b""
    last: bytes = b""

    def add(self, key: bytes, value: bytes) -> None:
        self.first = self.first or key
        self.last = key
        self.rows += 1
        if self.digest is not None:
            self.digest.add(key, value)

    def problems(self) -> Iterator[Problem]:
        file = self.file
        if self.rows != file.rows:
            yield Problem("wrong_rows", f"{file.path}: {self.rows} rows, expected {file.rows}")
        keys, expected = (self.first.hex(), self.last.hex()), (file.min_key, file.max_key)
        if self.rows and keys != expected:
            yield Problem(
                "wrong_keys",
                f"{file.path}: keys {'..'.join(keys)}, expected {'..'.join(expected)}",
            )
        if self.digest is not None and self.digest.hexdigest() != file.digest:
            yield Problem(
                "wrong_digest",
                f"{file.path}: content digest {self.digest.hexdigest()}, expected {file.digest}",
            )


@dataclass
class _Shard:
    """The files of one shard, ascending; keys come ascending, so the search only moves on."""

    tallies: list[_Tally] = field(default_factory=list)
    at: int = 0

    def covering(self, key: bytes) -> _Tally | None:
        name = key.hex()
        while self.at < len(self.tallies) and name > self.tallies[self.at].file.max_key:
            self.at += 1
        if self.at < len(self.tallies) and self.tallies[self.at].file.min_key <= name:
            return self.tallies[self.at]
        return None


class RowCheck:
    """The rows of a store, fed in key order, against the files of some shards."""

    def __init__(self, manifest: Manifest, shards: Iterable[int], spec: Spec, *, digests: bool):
        self._manifest, self._spec = manifest, spec
        self._shards = {shard: _Shard() for shard in shards}
        rows = sum(file.rows for file in manifest.of_shards(self._shards))
        self._is_sound = is_sound(spec, rows)
        for file in sorted(manifest.of_shards(self._shards), key=lambda f: f.min_key):
            tally = _Tally(file, ContentDigest() if digests else None)
            self._shards[file.shard].tallies.append(tally)
        self._problems: dict[tuple[str, str], Problem] = {}
        self.rows = 0

    def add(self, read_from: int, rows: list[tuple[bytes, bytes]]) -> None:
        """A chunk of (key, value) of one shard's database."""
        self.rows += len(rows)
        placeable = [row for row in rows if len(row[0]) == KEY_BYTES and row[0] < b"\x80"]
        for key, _ in rows if len(placeable) < len(rows) else ():
            if len(key) != KEY_BYTES or key >= b"\x80":
                self._report("wrong_keys", "", f"key {key.hex()} is no profile id")
        ids = np.frombuffer(b"".join(key for key, _ in placeable), ">i8").astype(np.int64)
        for (key, value), shard in zip(
            placeable, shards_of(ids, self._manifest.partitions).tolist(), strict=True
        ):
            if shard == read_from:
                self._add_row(key, value, shard)
            else:
                where = shard_dir(read_from)
                self._report("wrong_keys", where, f"{where}: key {key.hex()} is of shard {shard}")

    def _add_row(self, key: bytes, value: bytes, shard: int) -> None:
        tally = self._shards[shard].covering(key)
        if tally is None:
            where = shard_dir(shard)
            self._report("wrong_keys", where, f"{where}: no file has a range with key {key.hex()}")
            return
        tally.add(key, value)
        path, cutover_ms = tally.file.path, self._manifest.cutover_ms
        if self._is_sound(value, cutover_ms):
            return
        try:
            reference_ms = profile_block.decode(value, self._spec).reference_ms
        except CorruptData as error:
            self._report("corrupt_block", path, f"{path}: key {key.hex()}: {error.message}")
            return
        if reference_ms != cutover_ms:
            self._report(
                "wrong_cutover",
                path,
                f"{path}: key {key.hex()}: cutover {reference_ms}, expected {cutover_ms}",
            )

    def _report(self, reason: str, where: str, message: str) -> None:
        """Keep the first problem of each kind in each file: a million rows have the same cause."""
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.setdefault((reason, where), Problem(reason, message))

    def row_problems(self) -> list[Problem]:
        """Problems of rows that were added."""
        return list(self._problems.values())

    def problems(self) -> list[Problem]:
        """All problems, after all rows were added."""
        tallies = (tally for shard in self._shards.values() for tally in shard.tallies)
        return self.row_problems() + [p for tally in tallies for p in tally.problems()]


def check_store(
    store: Path,
    manifest: Manifest,
    shards: Iterable[int],
    spec: Spec,
    *,
    digests: bool,
    advance: Callable[[int], None],
) -> list[Problem]:
    """Scan a generation's store; all its problems.

    Args:
        digests: also recompute each file's content digest.   advance: gets the rows done.
    """
    from impressions.rocksdb import generation_store

    shards = tuple(shards)
    try:
        db = generation_store.open_read_only(store, shards)
    except CorruptData as error:
        return [Problem("corrupt_store", error.message)]
    check = RowCheck(manifest, shards, spec, digests=digests)
    try:
        for shard in shards:
            rows = db.scan(shard)
            while chunk := list(islice(rows, CHUNK_ROWS)):
                check.add(shard, chunk)
                advance(len(chunk))
    except CorruptData as error:
        # The scan stopped here, so counts and digests would only report the same damage again.
        return [Problem("corrupt_store", f"{store}: {error.message}"), *check.row_problems()]
    finally:
        db.close()
    return check.problems()
