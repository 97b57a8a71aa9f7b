"""Chains of two generations, in which days are not judged; see chain.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch import compact as compaction
from batch.compacting.incremental import costs
from tests.lake.incremental.chain import WEEK_MS, Chain

GAIN = costs.GAIN


@pytest.fixture(autouse=True)
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days are not judged: that costs more than all the rest, and is not the matter here. Shards
    are had from the generation before wherever that is allowed, dear or not."""
    monkeypatch.setattr(compaction, "_ordinary", lambda job, writes: [])
    monkeypatch.setattr(costs, "GAIN", 0.0)


@pytest.fixture
def weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As costs say."""
    monkeypatch.setattr(costs, "GAIN", GAIN)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """One generation, and a week of events since."""
    made = Chain(tmp_path, count=600)
    made.compact()
    made.goes_on(WEEK_MS)
    return made


@pytest.fixture
def old_chain(tmp_path: Path) -> Chain:
    """The same in files of one shard each."""
    made = Chain(tmp_path, count=600, old=True)
    made.compact()
    made.goes_on(WEEK_MS)
    return made
