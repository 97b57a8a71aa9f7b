"""The rows of a generation written as SST files: by Spark's tasks, each a shard (sst_sink.py)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch.exporting import sst_input
from batch.exporting.job import Exporting
from batch.exporting.sst_input import DataFile, ShardFiles
from impressions.core.errors import ImpressionsError
from impressions.terminal.console import warn

if TYPE_CHECKING:
    from batch.exporting.sst_sink import Plan, Written


@dataclass(frozen=True)
class Export:
    """What the winning attempts wrote, by shard; `read`: how their rows were read."""

    parts: list[Written]
    read: str


def write(job: Exporting, files: Sequence[DataFile], *, upload: bool) -> Export:
    """Runs the sink, which the session knows, over these files of the table.

    Args:
        upload: False computes names, digests and sizes, and leaves no file anywhere.

    Raises:
        ImpressionsError: a task failed as often as Spark tries.
    """
    from batch.exporting.sst_sink import NAME, OPTION, read_result

    with tempfile.TemporaryDirectory(prefix="impressions-export-") as local:
        table = sst_input.iceberg_table(job.spark, job.ema)
        storage = sst_input.storage_of(table, job.settings)
        if obstacle := sst_input.obstacle(files, table, storage):
            warn(f"{job.ema}: {obstacle}; Spark reads the rows, which takes longer")
        shards = None if obstacle else sst_input.by_shard(files)
        plan = _plan(job, shards, storage, str(Path(local) / "result.json"), upload=upload)
        if plan.shards is None:
            rows = sst_input.rows_by_shard(job.table(), job.settings.partitions)
        else:
            rows = sst_input.numbered(job.spark, plan.shards)
        try:
            rows.write.format(NAME).option(OPTION, plan.encode()).mode("append").save()
        except Exception as error:  # py4j's, Spark's or Python's: what a task raised
            raise _failed(job, error) from error
        return Export(read_result(Path(plan.result)), obstacle or "data files")


def _plan(
    job: Exporting,
    shards: list[ShardFiles] | None,
    storage: dict[str, str],
    result: str,
    *,
    upload: bool,
) -> Plan:
    from batch.exporting.sst_sink import Plan

    return Plan(
        directory=job.uri,
        result=result,
        cutover_ms=job.cutover_ms,
        slot_ms=job.settings.spec.slot_ms,
        spec_fingerprint=job.settings.spec.fingerprint,
        partitions=job.settings.partitions,
        run_id=job.run.id,
        roll_bytes=job.roll_bytes,
        upload=upload,
        shards=shards,
        storage=storage,
    )


def _failed(job: Exporting, error: Exception) -> ImpressionsError:
    """A task failed as often as Spark tries; the end of its Python traceback says why."""
    ends = re.findall(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)", str(error))
    reason = ends[0] if ends else str(error).strip().partition("\n")[0]
    return ImpressionsError(
        f"generation {job.name}: a task of the export failed: {reason}",
        hint="nothing was published; after the cause is gone, run export again",
        reason="export_failed",
    )
