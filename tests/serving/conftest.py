"""One host with one generation and one server, for the tests that change nothing."""

import pytest

from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS
from tests.serving.support import client_of, install, serving, settings_in


@pytest.fixture(scope="package")
def installed(tmp_path_factory):
    """Settings of a host with one active generation. Read-only."""
    settings = settings_in(tmp_path_factory.mktemp("host"), max_batch=16, max_titles=20)
    install(settings)
    return settings


@pytest.fixture(scope="package")
def server(installed):
    with serving(installed, clock=FixedClock(CUTOVER_MS + 1)) as running:
        yield running


@pytest.fixture(scope="package")
def client(server):
    with client_of(server) as connected:
        yield connected
