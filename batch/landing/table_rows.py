"""Judged records of one partition as Arrow rows of the two tables.

    raw         an impression; `duplicate` is null, `close` decides it
    rejected    one impression, or one record or device flush that cannot be read: the reason and
                where it was, as in the dead-letter topic (impressions/kafka/dead_letters.py)

The bytes of a flush stand once, with its first rejected impression, and are cut at a limit: what a
device sends never decides how large the table becomes.

The decision what counts is made in impressions/kafka/decoded_batch.py, for the stream and here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from batch.lake.arrow_columns import micros, optional, shared, table_of
from batch.lake.columns import RAW_COLUMNS, REJECTED_COLUMNS
from impressions.core.event import Reason
from impressions.core.spec import Spec
from impressions.formats.flush_framing import whole_bytes
from impressions.kafka.dead_letters import Values
from impressions.kafka.decoded_batch import ABSENT, DecodedBatch

if TYPE_CHECKING:
    import pyarrow as pa

    from impressions.core.decay import Int

VALUE_BYTES = 1 << 20
"""Of the bytes of one flush or record, as many are kept in the table of rejected rows."""


def impressions(
    batch: DecodedBatch, offsets: Int, partition: int, source: str, spec: Spec
) -> pa.Table:
    """The valid impressions, as rows of raw.

    Args:
        offsets: (records,) of the batch's records.
    """
    keep = np.flatnonzero(batch.reason == Reason.OK)
    flush = batch.flush[keep]
    ingest_ms = batch.ingest_ms[keep]
    return table_of(
        RAW_COLUMNS,
        len(keep),
        ingest_slot=micros(ingest_ms - ingest_ms % spec.slot_ms),
        shard=partition,
        profile_id=batch.profile_id[flush],
        title_id=batch.title_id[keep],
        location=batch.location[keep],
        row=optional(batch.row[keep], ABSENT),
        position=optional(batch.position[keep], ABSENT),
        event_time=micros(batch.counted_ms[keep]),
        ingest_time=micros(ingest_ms),
        played=batch.played[keep],
        dwell_s=batch.dwell_s[keep],
        log_id=batch.log_id[flush],
        log_offset=offsets[batch.record[flush]],
        log_index=batch.log_index[flush],
        source=shared([source], np.zeros(len(keep), np.int32)),
        device_type=_texts(batch.device_type, flush),
        app_version=_texts(batch.app_version, flush),
    )


def rejected(
    batch: DecodedBatch,
    values: Sequence[bytes | None],
    offsets: Int,
    record_ingest_ms: Int,
    partition: int,
    source: str,
    spec: Spec,
) -> pa.Table:
    """One row per rejected impression, and per record or flush that cannot be read."""
    value_of, bad = Values(values), batch.unreadable
    which = np.flatnonzero(batch.reason != Reason.OK)
    flush = batch.flush[which]
    is_first = np.ones(len(which), np.bool_)  # of its flush
    is_first[1:] = flush[1:] != flush[:-1]
    record = np.concatenate(([u.record for u in bad], batch.record[flush])).astype(np.int64)
    log_index = [*(u.log_index for u in bad), *batch.log_index[flush].tolist()]
    held: list[bytes | None] = [None] * len(record)
    for i in [*range(len(bad)), *(np.flatnonzero(is_first) + len(bad)).tolist()]:
        held[i] = value_of(int(record[i]), log_index[i])
    ingest_ms = record_ingest_ms[record]
    reasons = np.concatenate(([u.reason for u in bad], batch.reason[which])).astype(np.int32)
    return table_of(
        REJECTED_COLUMNS,
        len(record),
        source=shared([source], np.zeros(len(record), np.int32)),
        shard=partition,
        ingest_slot=micros(ingest_ms - ingest_ms % spec.slot_ms),
        log_offset=offsets[record],
        log_index=log_index,
        reason=shared([reason.label for reason in Reason], reasons),
        impression=[*[None] * len(bad), *(which - np.searchsorted(batch.flush, flush)).tolist()],
        value=[None if value is None else value[:VALUE_BYTES] for value in held],
        value_bytes=[None if value is None else whole_bytes(value) for value in held],
        device_type=_of_unreadable(len(bad), batch.device_type, flush),
        app_version=_of_unreadable(len(bad), batch.app_version, flush),
    )


def _of_unreadable(unreadable: int, of_flushes: Sequence[str], flush: Int) -> list[str | None]:
    """The device's text for each row of `rejected`: what cannot be read says none."""
    return [*[None] * unreadable, *(of_flushes[i] or None for i in flush.tolist())]


def _texts(of_flushes: Sequence[str], flush: Int) -> pa.Array:
    """The device's text for each impression, from its flush's; null where that is empty."""
    import pyarrow as pa

    texts = pa.array(of_flushes, pa.string()).dictionary_encode()
    words = [word or None for word in texts.dictionary.to_pylist()]
    return shared(words, texts.indices.to_numpy(zero_copy_only=False)[flush])
