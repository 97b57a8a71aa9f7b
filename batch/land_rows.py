"""Judged records of one partition as Arrow rows: what the Kafka source gives to Spark.

One schema for three kinds of row, because one pass over the log feeds two tables:

    impression   a row of raw; `duplicate` is null, `close` decides it
    rejected     one impression, or one record or log that cannot be read: reason, where it was,
                 and the bytes, as in the dead-letter topic (impressions/kafka/dead_letters.py)
    end          one per partition: `log_offset` the next offset, `ingest_time` the newest, and how
                 many `records` and impressions (`read`) there were

The decision what counts is made in impressions/kafka/records.py, for the stream and here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batch.land_plan import Range
from batch.tables import RAW_COLUMNS
from impressions.event import Reason
from impressions.kafka.dead_letters import letters_of
from impressions.kafka.records import ABSENT, Batch
from impressions.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

    from impressions.decay import Int

IMPRESSION, REJECTED, END = "impression", "rejected", "end"

COLUMNS = {
    "kind": "string",
    **RAW_COLUMNS,
    "reason": "string",
    "impression": "int",  # place in its log; null where the log or record cannot be read
    "value": "binary",
    "records": "bigint",
    "read": "bigint",
}


def schema() -> pa.Schema:
    """Arrow's types for COLUMNS."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "binary": pa.binary(),
    }
    return pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


def impressions(
    batch: Batch, offsets: Int, partition: int, source: str, spec: Spec
) -> pa.RecordBatch:
    """The valid impressions, as rows of raw."""
    keep = np.flatnonzero(batch.reason == Reason.OK)
    log = batch.log[keep]
    ingest_ms = batch.ingest_ms[keep]
    return _rows(
        len(keep),
        kind=IMPRESSION,
        ingest_slot=_micros(ingest_ms - ingest_ms % spec.slot_ms),
        shard=partition,
        profile_id=batch.profile_id[log],
        title_id=batch.title_id[keep],
        location=batch.location[keep],
        row=_optional(batch.row[keep]),
        position=_optional(batch.position[keep]),
        event_time=_micros(batch.counted_ms[keep]),
        ingest_time=_micros(ingest_ms),
        played=batch.played[keep],
        dwell_s=batch.dwell_s[keep],
        log_id=batch.log_id[log],
        log_offset=offsets[batch.record[log]],
        log_index=batch.log_index[log],
        source=source,
        device_type=_texts(batch.device_type, log),
        app_version=_texts(batch.app_version, log),
    )


def rejected(
    batch: Batch,
    values: Sequence[bytes | None],
    offsets: Int,
    record_ingest_ms: Int,
    partition: int,
    source: str,
    spec: Spec,
) -> pa.RecordBatch:
    """One row per rejected impression, and per record or log that cannot be read."""
    letters = letters_of(batch, values, offsets, "", partition, record_ingest_ms)
    found = [
        (letter, reason, impression)
        for letter in letters
        for reason, impression in zip(letter.reasons, letter.impressions or (None,), strict=True)
    ]
    ingest_ms = np.array([letter.ingest_ms for letter, _, _ in found], np.int64)
    return _rows(
        len(found),
        kind=REJECTED,
        ingest_slot=_micros(ingest_ms - ingest_ms % spec.slot_ms),
        shard=partition,
        ingest_time=_micros(ingest_ms),
        log_offset=[letter.offset for letter, _, _ in found],
        log_index=[None if x.log_index < 0 else x.log_index for x, _, _ in found],
        source=source,
        reason=[reason for _, reason, _ in found],
        impression=[impression for _, _, impression in found],
        value=[letter.value for letter, _, _ in found],
    )


def end(done: Range, source: str, ingest_ms: int, records: int, read: int) -> pa.RecordBatch:
    """What the reader of a range says when it is through."""
    return _rows(
        1,
        kind=END,
        shard=done.partition,
        ingest_time=_micros(np.array([ingest_ms], np.int64)),
        log_offset=[done.end],
        source=source,
        records=[records],
        read=[read],
    )


def _rows(n: int, **columns: Any) -> pa.RecordBatch:
    """n rows of the schema; a single value stands for n, a column that is not given is null."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(
        [_column(columns.get(field.name), field.type, n) for field in schema()], schema=schema()
    )


def _column(values: Any, kind: pa.DataType, n: int) -> pa.Array:
    import pyarrow as pa

    if values is None:
        return pa.nulls(n, kind)
    if isinstance(values, str | int):
        return pa.repeat(pa.scalar(values, kind), n)
    if isinstance(values, list):
        return pa.array(values, kind)
    return (values if isinstance(values, pa.Array) else pa.array(values)).cast(kind)


def _micros(ms: Int) -> NDArray[np.datetime64]:
    return (ms * 1000).view("datetime64[us]")


def _optional(numbers: Int) -> Any:
    """Nulls for what the sender left out."""
    import pyarrow as pa

    return pa.array(numbers, mask=numbers == ABSENT)


def _texts(of_logs: Sequence[str], log: Int) -> pa.Array:
    """The device's text for each impression; null where it sent none."""
    import pyarrow as pa

    return pa.array([text or None for text in of_logs], pa.string()).take(pa.array(log))
