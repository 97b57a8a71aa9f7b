"""What each path costs at 1x, 4x and 16x the data, as the exponent of a straight line on log paper.

1 is a cost in step with the data, 0 is one that does not depend on it.

    read     a server's CPU time per request, by profiles in the generation
    merge    time of one profile, by its titles
    load     time until servable, by bytes of the generation
    speed    see its own module; so does compact, whose stage is compact_growth
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count

import numpy as np

from benchmarks import cores
from benchmarks import server as servers
from benchmarks.asking import check_titles, request_of
from benchmarks.frame import Goal, Row, exponent, in_turns, median_s, row
from benchmarks.load import loaded
from benchmarks.load_client import Client
from benchmarks.world import CUTOVER_MS, QUERY_MS, SPEC, Profile, World, check, cycle, make_profile
from impressions.compiled.profiles import merge_stored
from impressions.core.rows import Rows
from tests.compare import as_dict

_MERGE = merge_stored(SPEC)
_TIMES = (1, 4, 16)
_TITLES = (375, 1_500, 6_000)
_RUNS, _RUN_S, _REQUESTS, _PROFILES = 3, 1.5, 128, 8


def run(world: World) -> Iterator[Row]:
    """Ours first, then the worker's."""
    worlds = {str(times): _smaller(world, 16 // times) for times in _TIMES}
    yield _read(worlds)
    yield _merge(world)
    yield _load(worlds)
    from benchmarks import speed

    yield from speed.growth(world)


def _smaller(world: World, by: int) -> World:
    """The same profiles under fewer ids."""
    if by == 1:
        return world
    fewer = World(world.home / f"smaller-{by}", world.seed, 0, world.titles)
    fewer.profiles = world.profiles
    fewer.profile_ids = range(1, 1 + len(world.profile_ids) // by)
    return fewer


def _read(worlds: dict[str, World]) -> Row:
    with ExitStack() as stack:
        works = {times: _reading(each, stack) for times, each in worlds.items()}
        cost_us = in_turns(works, _RUNS)
    profiles = [len(each.profile_ids) for each in worlds.values()]
    return _row("read, CPU per request", "profiles", profiles, cost_us, "us", at_most=0.05)


def _reading(world: World, stack: ExitStack) -> Callable[[], float]:
    """Microseconds of CPU per request of 200 titles, of a server of its own."""
    world.home.mkdir(exist_ok=True)
    server = stack.enter_context(servers.real(world))
    client = stack.enter_context(Client(server.address, "GetProfile"))
    ids = np.random.default_rng(world.seed).choice(world.profile_ids, _REQUESTS).tolist()
    requests = [request_of(world, profile_id) for profile_id in ids]
    check_titles("growth", world, ids[0], client.call(requests[0]))
    client.closed(requests, _RUN_S / 4)

    def cost_us() -> float:
        before_s = server.cpu_s()
        answered, _ = client.closed(requests, _RUN_S)
        return (server.cpu_s() - before_s) / answered * 1e6

    return cost_us


def _merge(world: World) -> Row:
    rng = np.random.default_rng(world.seed)
    works: dict[str, Callable[[], object]] = {}
    for titles in _TITLES:
        profiles = [make_profile(rng, titles) for _ in range(_PROFILES)]
        expected = profiles[0].oracle(1, with_week=False)
        check("growth", as_dict(1, _merged(profiles[0]), SPEC), expected)
        works[str(titles)] = cycle([partial(_merged, profile) for profile in profiles])
    taken_s = median_s(works)
    cost_us = {titles: seconds / _PROFILES * 1e6 for titles, seconds in taken_s.items()}
    return _row("merge, full profile", "titles", _TITLES, cost_us, "us", at_most=1.05)


def _merged(profile: Profile) -> Rows:
    return _MERGE(QUERY_MS, CUTOVER_MS, profile.block, ())


def _load(worlds: dict[str, World]) -> Row:
    numbers = count()

    def loading_s(world: World) -> float:
        taken = loaded(world.settings(f"grown-{next(numbers)}"), world.manifest)
        return taken.load_s + taken.activate_s

    works = {times: partial(loading_s, each) for times, each in worlds.items()}
    with cores.all_for_this():
        cost_s = in_turns(works, _RUNS)
    size_mb = [each.manifest.size_bytes / 1e6 for each in worlds.values()]
    return _row("load + activate", "MB", size_mb, cost_s, "s", at_most=1.05)


def _row(
    what: str,
    of: str,
    sizes: Sequence[float],
    cost: Mapping[str, float],
    unit: str,
    *,
    at_most: float,
) -> Row:
    costs = " / ".join(f"{each:.3g}" for each in cost.values())
    measure = f"{what}: {costs} {unit} at {' / '.join(f'{each:,.0f}' for each in sizes)} {of}"
    found = exponent(sizes, list(cost.values()))
    return row("growth", measure, found, "exponent", goal=Goal("ours", "<=", at_most))
