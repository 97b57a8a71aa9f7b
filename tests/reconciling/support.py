"""Events by hand, and answers as a server would make them of the events that it holds."""

from __future__ import annotations

import numpy as np

from batch.reconciling.events import NOT_READ, Events, vectors
from batch.reconciling.judging import Served
from impressions.core.item import pack
from impressions.core.spec import DAY_MS, Spec

SPEC = Spec()
CUTOVER_MS = 20_772 * DAY_MS  # 2026-11-15
QUERY_MS = CUTOVER_MS + 3 * DAY_MS + 7_654_321
THROUGH_MS = QUERY_MS - 60_000
TOPIC = "kafka:0123456789abcdef"


def events_of(rows, **columns) -> Events:
    """Rows of (title, location, event_ms, ingest_ms, played, dwell_s); each a flush of its own, in
    the order given. `columns` replace what is made up."""
    n = len(rows)
    title, location, event_ms, ingest_ms, played, dwell_s = (
        zip(*rows, strict=True) if n else ((),) * 6
    )
    ints = {
        "profile_id": np.full(n, 42),
        "item": pack(np.array(title, np.int64), np.array(location, np.int64)),
        "event_ms": np.array(event_ms, np.int64),
        "ingest_ms": np.array(ingest_ms, np.int64),
        "log_id": np.arange(1, n + 1),
        "log_offset": np.arange(n),
        "log_index": np.zeros(n, np.int64),
        "file": np.zeros(n, np.int64),
        "in_raw": np.ones(n, np.int64),
        "in_topic": np.full(n, NOT_READ),
    } | {k: np.array(v, np.int64) for k, v in columns.items() if k != "source"}
    source = np.empty(n, object)
    source[:] = columns.get("source", TOPIC)
    x = np.array([np.ones(n), played, dwell_s], np.float64).reshape(3, n)
    return Events(x=x, source=source, **ints)


def served_of(events: Events, *, stored: bool = False, **fields) -> Served:
    """The answer of a server that holds exactly these events; `stored`: those of the generation
    went through a float32's fourth power, as in a profile block."""
    times = {"query_ms": QUERY_MS, "cutover_ms": CUTOVER_MS, "through_ms": THROUGH_MS} | fields
    adds = vectors(events, times["query_ms"], SPEC)
    items, at = np.unique(events.item, return_inverse=True)
    values = np.zeros((len(items), adds.shape[1]))
    old = events.ingest_ms < times["cutover_ms"]
    np.add.at(values, at[old], adds[old])
    if stored:
        values[:, 2] = values[:, 2].astype(np.float32)
        values[:, 3:] = (values[:, 3:] ** 0.25).astype(np.float32).astype(np.float64) ** 4
    np.add.at(values, at[~old], adds[~old])
    return Served(42, generation="2026_11_15", reasons=(), items=items, values=values, **times)
