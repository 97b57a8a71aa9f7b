"""The SST sink: a Spark data source that writes one shard per task, and its commit protocol.

    task     sorted rows -> profile blocks -> SST file on local disk -> copied to the generation
    attempt  a retried or speculative task writes files of its own: names hold run and attempt
    commit   Spark hands the driver the results of winning attempts only; they are written to
             `result`, a file of the driver, where the job (batch/export.py) checks them and writes
             the manifest. Spark runs `commit` in a process of its own, so a file is how they meet.
    abort    nothing to undo: a file that no manifest lists is no part of a generation

A partition of the sink's input holds one whole shard: that of its first row, and a task refuses
rows that Kafka's partitioner would put elsewhere. A shard without rows has no file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import TaskContext
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage

from batch.packing import Packed, pack
from batch.storage import Directory, open_directory
from impressions.decay import Int
from impressions.errors import Refused
from impressions.generation import sst_path
from impressions.manifest import ContentDigest, SstFile
from impressions.shard import shards_of
from impressions.shell.failpoint import failpoint
from impressions.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

NAME = "impressions_sst"


@dataclass(frozen=True)
class Plan:
    """What every task must know; travels as one option in JSON.

    Attributes:
        directory: path or URI of the generation.   result: local path for the committed results.
        cutover_ms, slot_ms, spec_fingerprint, partitions: the numbers the blocks are made with.
        run_id: new for every run.   roll_bytes: block bytes after which a new file is begun.
        upload: False computes names, digests and sizes, and leaves no file anywhere.
    """

    directory: str
    result: str
    cutover_ms: int
    slot_ms: int
    spec_fingerprint: str
    partitions: int
    run_id: str
    roll_bytes: int
    upload: bool

    def spec(self) -> Spec:
        """The spec, as this process knows it. Raises Refused if the driver knows another."""
        spec = Spec(slot_ms=self.slot_ms)
        if spec.fingerprint != self.spec_fingerprint:
            raise Refused(
                f"executor: spec fingerprint {spec.fingerprint}, the driver has "
                f"{self.spec_fingerprint}",
                hint="install the same version of impressions on driver and executors",
                reason="wrong_spec",
            )
        return spec


@dataclass
class Written(WriterCommitMessage):
    """What one attempt has written: its files, and how many rows of the table are in them."""

    shard: int
    entries: int
    files: list[SstFile]


class SstSink(DataSource):
    """`df.write.format(NAME).option("plan", ...)`."""

    @classmethod
    def name(cls) -> str:
        return NAME

    def writer(self, schema: StructType, overwrite: bool) -> SstWriter:
        return SstWriter(Plan(**json.loads(self.options["plan"])))


class SstWriter(DataSourceArrowWriter):
    """Writes one shard per task; see the module."""

    def __init__(self, plan: Plan):
        self._plan = plan

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:
        task = TaskContext.get()
        if task is None:
            raise RuntimeError("the SST sink writes inside a Spark task only")
        plan = self._plan
        shard, batches = one_shard(iterator, plan.partitions)
        packed = pack(batches, plan.cutover_ms, plan.spec())
        target = open_directory(plan.directory) if plan.upload else None
        with tempfile.TemporaryDirectory(prefix="impressions-sst-") as local:
            files = SstFiles(shard, f"{plan.run_id}-{task.taskAttemptId()}", Path(local), target)
            return write_shard(packed, files, plan.roll_bytes)

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        results = [asdict(m) for m in messages if isinstance(m, Written)]
        Path(self._plan.result).write_text(json.dumps(results), "ascii")


def read_result(path: Path) -> list[Written]:
    """What `commit` wrote, by shard."""
    results: list[dict[str, Any]] = json.loads(path.read_text("ascii"))
    written = [
        Written(r["shard"], r["entries"], [SstFile(**file) for file in r["files"]]) for r in results
    ]
    return sorted(written, key=lambda w: w.shard)


def write_shard(packed: Iterable[Packed], files: SstFiles, roll_bytes: int) -> Written:
    """Write the profiles of one shard into as many files as their size asks for."""
    entries = 0
    for profile in packed:
        files.add(profile.key, profile.block)
        entries += profile.entries
        if files.open_bytes >= roll_bytes:
            files.close()
    files.close()
    return Written(files.shard, entries, files.done)


class SstFiles:
    """The SST files of one attempt: `(add* close)*`, then `done` holds their facts.

    Args:
        target: where finished files go; None drops them.
    """

    def __init__(self, shard: int, attempt: str, local: Path, target: Directory | None):
        from impressions.shell import rocks

        self.shard, self.done, self.open_bytes = shard, list[SstFile](), 0
        self._attempt, self._local, self._target = attempt, local / "part.sst", target
        self._new_writer = rocks.sst_writer

    def add(self, key: bytes, block: bytes) -> None:
        """Append one profile; keys strictly ascending over all files."""
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


def one_shard(
    batches: Iterable[pa.RecordBatch], partitions: int
) -> tuple[int, Iterator[pa.RecordBatch]]:
    """The shard of the first row, and the same rows, refused where one is of another shard.

    Without rows the shard is 0, which then has no rows to be wrong about.
    """
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return 0, iter(())
    shard = int(shards_of(_profiles(first.slice(0, 1)), partitions)[0])
    return shard, _of_shard(chain((first,), filled), shard, partitions)


def _of_shard(
    batches: Iterable[pa.RecordBatch], shard: int, partitions: int
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        profiles = _profiles(batch)
        elsewhere = np.flatnonzero(shards_of(profiles, partitions) != shard)
        if len(elsewhere):
            raise Refused(
                f"profile {profiles[elsewhere[0]]} is not of shard {shard} of {partitions}",
                reason="wrong_shard",
            )
        yield batch


def _profiles(batch: pa.RecordBatch) -> Int:
    profiles: Int = batch.column("profile_id").to_numpy(zero_copy_only=False)
    return profiles
