"""Judged rows of a file as columns of raw.

ingest_slot   the UTC day of the ingest time (batch/lake/partitions.py)
log_offset    the ingest time in ms; with log_index, the number of the copy, an occurrence
log_id        as in the file. With ingest time = event time nothing groups the rows of a log, so
              it is a 63-bit mix of the file's id and all the content of the row
original_ms   beside the columns of raw: the event time as the device said it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batch.closing.duplicates import mix
from batch.closing.place import NEW
from batch.lake import partitions
from batch.lake.arrow_columns import micros, optional, shared, table_of
from batch.lake.columns import RAW_COLUMNS
from batch.mapping import ids
from batch.mapping.judge import ABSENT, Judged
from impressions.core.decay import Int
from impressions.core.event import Reason
from impressions.core.shard import shards_of

if TYPE_CHECKING:
    import pyarrow as pa

ORIGINAL = "original_ms"


def rows_of(
    judged: Judged, source: str, shards: int, identified: bool, ingest_is_event: bool
) -> pa.Table:
    """The valid rows, with ORIGINAL and NEW beside the columns of raw."""
    import pyarrow as pa

    keep = np.flatnonzero(judged.reason == Reason.OK)
    n = len(keep)
    ingest_ms, profile = judged.ingest_ms[keep], judged.profile_id[keep]
    texts = {name: getattr(judged, name).take(pa.array(keep)) for name in _TEXTS}
    log_id = None
    if identified:
        log_id = _identities(judged, keep, texts) if ingest_is_event else judged.log_id[keep]
    rows = table_of(
        RAW_COLUMNS,
        n,
        ingest_slot=micros(partitions.history_start_ms(ingest_ms)),
        shard=shards_of(profile, shards),
        profile_id=profile,
        title_id=judged.title_id[keep],
        location=judged.location[keep],
        row=optional(judged.row[keep], ABSENT),
        position=optional(judged.position[keep], ABSENT),
        event_time=micros(judged.counted_ms[keep]),
        ingest_time=micros(ingest_ms),
        played=judged.played[keep],
        dwell_s=judged.dwell_s[keep],
        log_id=log_id,
        log_offset=ingest_ms,
        log_index=0,
        source=shared([source], np.zeros(n, np.int32)),
        **{name: text.dictionary_encode() for name, text in texts.items()},
    )
    rows = rows.append_column(ORIGINAL, pa.array(judged.event_ms[keep]))
    return rows.append_column(NEW, pa.array(np.ones(n, np.bool_)))


_TEXTS = ("device_type", "app_version")


def _identities(judged: Judged, keep: Int, texts: dict[str, pa.Array]) -> Int:
    """(n,) ids of flushes that are one row each."""
    dwell = (judged.dwell_s[keep] + 0.0).view(np.int64)  # -0.0 is 0.0
    columns = [
        judged.log_id[keep], judged.profile_id[keep], judged.event_ms[keep], judged.title_id[keep],
        judged.location[keep], judged.row[keep], judged.position[keep],
        judged.played[keep].astype(np.int64), dwell, *map(hashes, texts.values()),
    ]  # fmt: skip
    return (mix(columns) >> np.uint64(1)).view(np.int64)


def hashes(texts: pa.Array) -> Int:
    """(n,) 64-bit hashes of texts, each computed once; of a null, 0."""
    encoded = texts.dictionary_encode()
    words = ids.hashed(encoded.dictionary.to_pylist(), 64)
    codes = encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
    of_rows: Int = np.append(words, 0)[codes]
    return of_rows
