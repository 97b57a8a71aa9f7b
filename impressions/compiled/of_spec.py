"""What a spec is to compiled code: arrays of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from impressions.core.decay import Float, Int
from impressions.core.spec import DAY_MS, Adds, Spec
from impressions.formats.columns import YEAR_10000_MS
from impressions.formats.impression_columns import is_whole
from impressions.formats.profile_block import rooted


def constants_of(spec: Spec) -> tuple[Float, Any, Any, Any, Int, Int]:
    """The fields of `OfSpec` (stored_parts.py), in its order."""
    roots = np.zeros(len(spec.half_lives_days), np.bool_)
    roots[rooted(spec)] = True
    columns = spec.added_columns
    adds = [-1 if m.adds is Adds.ONE else columns.index(m.adds.column) for m in spec.measures]
    limits = [spec.slot_ms, YEAR_10000_MS, spec.max_ahead_ms, spec.tag]
    return (
        np.array(spec.half_lives_days, np.float64) * DAY_MS,
        roots,
        np.array([measure.integral for measure in spec.measures], np.bool_),
        np.array(is_whole(spec), np.bool_),
        np.array(adds, np.int64),
        np.array(limits, np.int64),
    )
