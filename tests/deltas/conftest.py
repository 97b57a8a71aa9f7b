"""A delta topic of two partitions, its writer, and a copy of it."""

import pytest

from impressions.deltas.follower import Follower
from impressions.deltas.store import open_primary
from tests.broker import stream_settings
from tests.deltas.follow import SLOT_MS
from tests.deltas.support import Publisher


@pytest.fixture
def settings(tmp_path, broker):
    return stream_settings(tmp_path, broker, partitions=2, slot_seconds=SLOT_MS // 1000)


@pytest.fixture
def stream(settings):
    return Publisher(settings)


@pytest.fixture
def store(tmp_path):
    opened = open_primary(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def follower(settings, store):
    running = Follower(settings, store, (0, 1))
    yield running
    running.close()
