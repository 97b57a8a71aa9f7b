"""The whole batch path as a person runs it: real Spark, Iceberg, SST files, RocksDB, gRPC over TCP.

The story of `make demo` on a generated year and on real exposures: every (profile, title, location)
at the cutover, 3 days and 27 days later equals the oracle, 29 days later is flagged; the same after
a second generation was swapped in under the running server, and after the rollback.
"""

from pathlib import Path

import pytest

from demo.generate import DAY_MS
from demo.story import Options, tell

KUAIRAND = Path(__file__).parents[3] / "shared" / "data" / "kuairand" / "impressions.parquet"
HERE = Path(__file__).parent
PROFILES = 2_000

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]


def test_a_generated_year(tmp_path):
    """Late, clamped, resent and broken events included; at least 2,000 profiles."""
    mapping = HERE.parents[1] / "demo" / "mapping.toml"
    options = Options(tmp_path, None, mapping, seed=7, end_ms=20_772 * DAY_MS)
    told = tell(options)
    assert told.differ == [], f"seed {options.seed}"
    assert told.profiles >= PROFILES


@pytest.mark.skipif(not KUAIRAND.exists(), reason=f"real exposures not present: {KUAIRAND.name}")
def test_real_exposures_with_natural_duplicates(tmp_path):
    """25,156 profiles; rows that share (profile, title, time) are one impression, as mapped."""
    told = tell(Options(tmp_path, KUAIRAND, HERE / "kuairand.toml", seed=0, end_ms=0))
    assert told.differ == []
    assert told.profiles >= PROFILES
    assert told.counts["duplicate"] > 1_000
