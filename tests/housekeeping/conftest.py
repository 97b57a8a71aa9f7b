"""One lake of six weeks, made once; each test gets it as it was made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.housekeeping.world import World, world_in

WEEKS = (1, 8, 15, 22, 29, 36)


@pytest.fixture(scope="session")
def six_weeks(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Each week a file is imported at noon, and a generation of it published and exported a day
    later: on days 2, 9, 16, 23, 30, 37."""
    world = world_in(tmp_path_factory.mktemp("six") / "home")
    for n in WEEKS:
        world.bring_in(n + 0.5, bad=n == 1)
        world.publish(n + 1)
        world.export(n + 1)
    shutil.copytree(world.home, world.home.with_name("as-made"))
    return world


@pytest.fixture
def world(six_weeks: World) -> Iterator[World]:
    """In the same place: tables know their files by absolute paths."""
    yield six_weeks
    shutil.rmtree(six_weeks.home)
    shutil.copytree(six_weeks.home.with_name("as-made"), six_weeks.home)


@pytest.fixture
def empty(tmp_path: Path) -> World:
    return world_in(tmp_path / "home")


@pytest.fixture(scope="session")
def long_year(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Files of days 1, 59, 60 and 460; generations of days 430 and 461. The first and the last of
    the files bring a rejected row each."""
    world = world_in(tmp_path_factory.mktemp("long") / "home")
    for n in (1, 59, 60, 460):
        world.bring_in(n + 0.5, bad=n in (1, 460))
        if n == 60:
            world.publish(430)
    world.publish(461)
    return world
