"""Worlds: an empty one, and one whose host serves OLD while NEW waits to be loaded."""

import shutil
from pathlib import Path

import pytest

from bulkload.activate import activate
from bulkload.load import load
from impressions.settings.model import Settings
from impressions.settings.sections.live import Host
from tests.bulkload.world import NEW_MS, OLD, OLD_MS, PARTITIONS, World


@pytest.fixture
def empty(tmp_path) -> World:
    """Nothing published, nothing loaded."""
    host = Host(reserve_bytes=0, keep=3)
    return World(Settings(home=tmp_path / "home", partitions=PARTITIONS, host=host))


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """OLD loaded and active, NEW published: made once, copied for each test."""
    home = tmp_path_factory.mktemp("template") / "home"
    host = Host(reserve_bytes=0, keep=3)
    world = World(Settings(home=home, partitions=PARTITIONS, host=host))
    world.publish(OLD_MS)
    world.publish(NEW_MS)
    load(world.settings, OLD)
    activate(world.settings, OLD)
    return home


@pytest.fixture
def world(empty, template) -> World:
    """OLD is loaded and active; NEW is published and waits to be loaded."""
    shutil.copytree(template, empty.settings.home)
    return empty
