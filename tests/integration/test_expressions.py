"""Spark expressions with a twin in the core give what the twin gives, on seeded random rows."""

from __future__ import annotations

import random

import numpy as np
import pytest

from batch.rules.shard import shard_column
from impressions.core.shard import shards_of
from tests.integration.conftest import Lake

pytestmark = pytest.mark.spark

SEED = 20261115


def test_the_shard_of_a_profile(lake: Lake) -> None:
    """Random ids of all lengths, the edges, and the vectors that are pinned for Kafka."""
    from pyspark.sql import functions as F

    pick = random.Random(SEED)
    profiles = [pick.getrandbits(pick.randrange(1, 64)) for _ in range(2000)]
    profiles += [0, 1, 42, 1000, 2**40, 2**63 - 1]
    frame = lake.spark.createDataFrame([(p,) for p in profiles], "p bigint")
    for partitions in (1, 4, 64, 1000):
        found = [row[0] for row in frame.select(shard_column(F.col("p"), partitions)).collect()]
        assert found == shards_of(np.array(profiles, np.int64), partitions).tolist()
