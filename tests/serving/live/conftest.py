"""A server with deltas and, where a test asks for it, a copy of them that the test writes."""

import pytest

from tests.fixed_clock import FixedClock
from tests.serving.live.written_copy import THROUGH_MS, Copy
from tests.serving.support import client_of, serving, settings_in


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path, deltas="on", catch_up_s=0.01)


@pytest.fixture
def copy(settings):
    held = Copy(settings)
    yield held
    held.store.close()


@pytest.fixture
def clock():
    return FixedClock(THROUGH_MS)


@pytest.fixture
def server(settings, clock):
    with serving(settings, clock=clock) as running:
        yield running


@pytest.fixture
def client(server):
    with client_of(server) as connected:
        yield connected
