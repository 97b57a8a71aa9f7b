"""What an impression adds to each measure, x_m(e), as numpy columns.

Which measures there are, and what each counts, is declared in impressions/core/spec.py. Impressions
of the stream (impressions.py) and the audit of a compaction (batch/compacting/audit_sample.py) use
this form; the aggregation in Spark (batch/rules/aggregate.py) makes the same from the same
declaration.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Float
from impressions.core.spec import Adds, Spec


def contributions(columns: Mapping[str, NDArray[np.generic]], count: int, spec: Spec) -> Float:
    """(M, n) float64: what each of n = `count` impressions adds to each measure.

    Args:
        columns: (n,) each, by name; those of `spec.added_columns` are used.
    """
    x = np.empty((len(spec.measures), count))
    for m, measure in enumerate(spec.measures):
        x[m] = 1.0 if measure.adds is Adds.ONE else columns[measure.adds.column]
    return x
