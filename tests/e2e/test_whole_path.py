"""The whole system as a person runs it: real Kafka, Iceberg, Faust, RocksDB, gRPC over TCP.

The story of `make demo` on a generated year with live traffic, and on real exposures of which one
half is imported and the other replayed live. After each step every (profile, title, location)
equals the oracle over everything that was sent.
"""

from pathlib import Path

import pytest

from examples.demo.story import Options, tell

KUAIRAND = Path(__file__).parents[3] / "shared" / "data" / "kuairand" / "impressions.parquet"
HERE = Path(__file__).parent
PROFILES = 2_000
SOME = 5_000

pytestmark = [
    pytest.mark.kafka, pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(1_800),
]  # fmt: skip


def test_a_generated_year_and_live_traffic(tmp_path):
    """Three generations whose slots really passed; rolled back by one and by two; then two hosts,
    one on the first and one on the third, answer the same while traffic flows."""
    mapping = HERE.parents[1] / "examples" / "demo" / "mapping.toml"
    outcome = tell(
        Options(
            tmp_path, None, mapping, seed=7,
            generations=3, partitions=4, two_hosts=True,
        )
    )  # fmt: skip
    assert outcome.differ == [], "seed 7"
    assert outcome.profiles >= PROFILES


@pytest.mark.skipif(not KUAIRAND.exists(), reason=f"real exposures not present: {KUAIRAND.name}")
def test_real_exposures_half_as_history_and_half_live(tmp_path):
    """Some of the 25,156 profiles; rows that share (profile, title, time) are one impression, as
    mapped."""
    mapping = HERE / "kuairand.toml"
    outcome = tell(Options(tmp_path, KUAIRAND, mapping, seed=0, profiles=SOME, partitions=4))
    assert outcome.differ == []
    assert outcome.profiles >= PROFILES
    assert outcome.counts["duplicate"] > 200
