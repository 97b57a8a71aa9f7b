"""The SST sink: a Spark data source that writes one shard per task, and its commit protocol.

    task     rows of a shard -> profile blocks -> SST file on local disk -> copied to the generation
    attempt  a retried or speculative task writes files of its own: names hold run and attempt
    commit   Spark hands the driver the results of winning attempts only; they are written to
             `result`, a file of the driver, where the job (batch/export.py) checks them and writes
             the manifest. Spark runs `commit` in a process of its own, so a file is how they meet.
    abort    nothing to undo: a file that no manifest lists is no part of a generation

A partition of the sink's input holds one complete shard: a number, which stands for files that the
task reads by itself, or the sorted rows. A task refuses rows that Kafka's partitioner would put
elsewhere. A shard without rows has no file.
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

from batch.exporting.ema_rows import complete_profiles_of
from batch.exporting.profile_packing import Packed, complete_profiles, pack
from batch.exporting.sst_input import ShardFiles
from batch.lake.ema_columns import column_names
from impressions.core.errors import Refused
from impressions.core.shard import shards_of
from impressions.core.spec import Spec
from impressions.formats.generation_paths import sst_path
from impressions.formats.manifest import ContentDigest, SstFile
from impressions.process.failpoint import failpoint
from impressions.storage.directory import Directory, open_directory

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType

NAME = "impressions_sst"
OPTION = "secret_plan"
"""Addresses and storage settings may hold credentials; Spark shows no option of such a name."""


@dataclass(frozen=True)
class Plan:
    """What every task must know; travels as one option in JSON.

    Attributes:
        directory: path or URI of the generation.   result: local path for the committed results.
        cutover_ms, slot_ms, spec_fingerprint, partitions: the numbers the blocks are made with.
        run_id: new for every run.   roll_bytes: block bytes after which a new file is begun.
        upload: False computes names, digests and sizes, and leaves no file anywhere.
        shards: files for the task that gets their number; None: tasks get rows.
        storage: how to open those files, see `ema_rows.open_parquet`.
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
    shards: list[ShardFiles] | None
    storage: dict[str, str]

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Plan:
        fields = json.loads(text)
        if fields["shards"] is not None:
            fields["shards"] = [ShardFiles(**shard) for shard in fields["shards"]]
        return cls(**fields)

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
    """`df.write.format(NAME).option(OPTION, plan.encode())`."""

    @classmethod
    def name(cls) -> str:
        return NAME

    def writer(self, schema: StructType, overwrite: bool) -> SstWriter:
        return SstWriter(Plan.decode(self.options[OPTION]))


class SstWriter(DataSourceArrowWriter):
    """Writes one shard per task; see the module."""

    def __init__(self, plan: Plan):
        self._plan = plan

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:
        task = TaskContext.get()
        if task is None:
            raise RuntimeError("the SST sink writes inside a Spark task only")
        plan = self._plan
        shard, packed = packed_shard(iterator, plan)
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
        from impressions.rocksdb import generation_store

        self.shard, self.done, self.open_bytes = shard, list[SstFile](), 0
        self._attempt, self._local, self._target = attempt, local / "part.sst", target
        self._new_writer = generation_store.sst_writer

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


def packed_shard(batches: Iterable[pa.RecordBatch], plan: Plan) -> tuple[int, Iterator[Packed]]:
    """The shard of a task's input, and its profiles.

    Without input the shard is 0, which then has no rows to be wrong about.
    """
    spec = plan.spec()
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return 0, iter(())
    pieces: Iterator[pa.Table | pa.RecordBatch]
    if plan.shards is None:
        shard = first.column("shard")[0].as_py()
        pieces = complete_profiles(chain((first,), filled))
    else:
        mine = plan.shards[first.column(0)[0].as_py()]
        shard = mine.shard
        pieces = complete_profiles_of(mine.paths, column_names(spec), plan.storage)
    checked = _of_shard(pieces, shard, plan.partitions)
    return shard, pack(checked, plan.cutover_ms, spec, sort=plan.shards is not None)


def _of_shard(
    pieces: Iterable[pa.Table | pa.RecordBatch], shard: int, partitions: int
) -> Iterator[pa.Table | pa.RecordBatch]:
    """The pieces, refused where a profile is of another shard."""
    for piece in pieces:
        profiles = np.unique(piece.column("profile_id").to_numpy(zero_copy_only=False))
        elsewhere = np.flatnonzero(shards_of(profiles, partitions) != shard)
        if len(elsewhere):
            raise Refused(
                f"profile {profiles[elsewhere[0]]} is not of shard {shard} of {partitions}",
                reason="wrong_shard",
            )
        yield piece
