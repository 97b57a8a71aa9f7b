"""The SST files of a task: rows of one shard become profile blocks and files of a generation.

file     written on the local disk, hashed, and copied to the generation's directory
attempt  a retried or repeated task writes files of its own: names hold run and attempt
counts   what the driver lists in the manifest; a file that no manifest lists is no part of a
         generation, so there is nothing to undo
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from batch.exporting.profile_packing import Packed, pack
from batch.lake.ema_columns import Columns
from impressions.core.spec import Spec
from impressions.formats.generation_paths import sst_path
from impressions.formats.manifest import ContentDigest, SstFile
from impressions.process.failpoint import failpoint
from impressions.storage.directory import Directory, open_directory


@dataclass(frozen=True)
class Packing:
    """Where SST files of a generation go.

    Attributes:
        directory: path or URI of the generation; may hold credentials.
        run_id: new for every run.   roll_bytes: block bytes after which a new file is begun.
        upload: False computes names, digests and sizes, and leaves no file anywhere.
        begins: keys, in hex, at which files begin, instead of by size; None: by size.
    """

    directory: str
    run_id: str
    cutover_ms: int
    roll_bytes: int
    upload: bool = True
    begins: frozenset[str] | None = None


@contextlib.contextmanager
def files_of(packing: Packing, shard: int) -> Iterator[SstFiles]:
    """The files of one attempt; what is left on the local disk goes at the end of the block."""
    target = open_directory(packing.directory) if packing.upload else None
    attempt = f"{packing.run_id}-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="impressions-sst-") as local:
        yield SstFiles(shard, attempt, Path(local), target)


def write(files: SstFiles, pieces: Iterable[Columns], packing: Packing, spec: Spec) -> int:
    """Writes whole profiles, ascending, into as many files as asked for; returns their rows."""
    entries = 0
    for profile in pack(pieces, packing.cutover_ms, spec):
        if packing.begins is not None and profile.key.hex() in packing.begins:
            files.close()
        files.add(profile)
        entries += profile.entries
        if packing.begins is None and files.open_bytes >= packing.roll_bytes:
            files.close()
    files.close()
    return entries


class SstFiles:
    """The SST files of one attempt: `(add* close)*`, then `done` holds their facts.

    Args:
        target: where finished files go; None drops them.
    """

    def __init__(self, shard: int, attempt: str, local: Path, target: Directory | None):
        from impressions.rocksdb import generation_store

        self.shard, self.done, self.open_bytes = shard, list[SstFile](), 0
        self._attempt, self._local, self._target = attempt, local / "part.sst", target
        self._new_writer = generation_store.sst_writer

    def add(self, profile: Packed) -> None:
        """Append one profile; keys strictly ascending over all files."""
        key, block = profile.key, profile.block
        if not self.open_bytes:
            self._writer = self._new_writer(self._local)
            self._digest, self._first, self._rows = ContentDigest(), key, 0
        self._writer[key] = block
        self._digest.add(key, block)
        self._last = key
        self._rows += 1
        self.open_bytes += len(key) + len(block)

    def close(self) -> None:
        """Finish the open file, if there is one, and copy it to its place."""
        if not self.open_bytes:
            return
        self._writer.finish()
        path = sst_path(self.shard, len(self.done), self._attempt)
        sha256 = self._target.put(self._local, path) if self._target else ""
        failpoint("sst-uploaded")
        self.done.append(
            SstFile(
                shard=self.shard, path=path, rows=self._rows,
                size_bytes=self._local.stat().st_size,
                min_key=self._first.hex(), max_key=self._last.hex(),
                sha256=sha256, digest=self._digest.hexdigest(),
            )
        )  # fmt: skip
        os.unlink(self._local)
        self.open_bytes = 0
