"""Check: is a loaded generation whole. Every byte once in `host.check_every_h`, and a look between.

    a look      the records unseal and belong together, the files have their sizes, the store opens,
                the first and the last profile of each file can be read
    every byte  what `verify` does (bulkload/verify.py); `checked.json` says when it was well

`checked.json` decides only when bytes are read again. One that is missing, damaged or from the
future makes that now; so no clock and no record can call a rotten generation whole for good.
"""

from __future__ import annotations

from collections import Counter

from bulkload.files import write_durably
from bulkload.host import Host
from bulkload.loaded_generations import LoadedGeneration
from bulkload.readiness import prove_ready
from bulkload.store_check import Problem
from bulkload.verify import verify_host
from impressions.clock import Clock
from impressions.core.errors import CorruptData, NotReady, Refused
from impressions.formats.pointer import Checked
from impressions.settings.model import Settings

OTHER_SETTINGS = frozenset({"wrong_spec", "wrong_partitions", "wrong_partitioner"})
"""Made with other numbers than this host has: another world's, and no damage."""


def problems_of(
    settings: Settings,
    generation: str,
    clock: Clock,
    *,
    every_byte: bool = False,
    dry_run: bool = False,
) -> tuple[Problem, ...]:
    """What is wrong with a generation on this host; nothing if it is whole.

    Args:
        every_byte: read all of it now, whenever that was done last.
        dry_run: do not write down that it was read.
    """
    host = Host(settings.host_dir)
    if not host.generations.is_loaded(generation):
        return (Problem("not_loaded", f"generation {generation} is named by CURRENT, not loaded"),)
    if not every_byte and not is_due(settings, generation, clock()):
        return _looked_at(host, generation, settings)
    found = verify_host(settings, generation).problems
    problems = tuple(one for one in found if one.reason not in OTHER_SETTINGS)
    if not problems and not dry_run:
        record = Checked(generation, clock()).encode()
        write_durably(host.paths.checked(generation), record)
    return problems


def is_due(settings: Settings, generation: str, now_ms: int) -> bool:
    """Whether its bytes were not read for too long, by a record that can be true."""
    host = Host(settings.host_dir)
    known = [_checked_ms(host, generation), _loaded_ms(host, generation)]
    newest_ms = max((ms for ms in known if ms <= now_ms), default=0)
    return now_ms - newest_ms >= settings.host.check_every_h * 3_600_000


def _checked_ms(host: Host, generation: str) -> int:
    try:
        record = Checked.decode(host.paths.checked(generation).read_bytes())
    except (OSError, CorruptData):
        return 0
    return record.checked_ms if record.generation == generation else 0


def _loaded_ms(host: Host, generation: str) -> int:
    """A load reads every byte too."""
    try:
        return host.generations.read(generation).record.loaded_ms
    except (CorruptData, NotReady):
        return 0


def _looked_at(host: Host, generation: str, settings: Settings) -> tuple[Problem, ...]:
    try:
        loaded = host.generations.read(generation)
        if sizes := _wrong_sizes(host, loaded):
            return (Problem("wrong_size", sizes),)
        prove_ready(host, loaded, settings)
    except CorruptData as error:
        return (Problem(error.reason, error.message),)
    except NotReady:
        pass  # a shard that this host got since: the load brings it
    except Refused as error:
        if error.reason not in OTHER_SETTINGS:
            raise
    return ()


def _wrong_sizes(host: Host, loaded: LoadedGeneration) -> str:
    """In words; empty if there are exactly the files that were loaded, by their sizes."""
    store = host.paths.store(loaded.generation)
    listed = loaded.manifest.of_shards(loaded.record.shards)
    expected = Counter(file.size_bytes for file in listed)
    found = Counter(path.stat().st_size for path in store.glob("*/*.sst"))
    if found == expected:
        return ""
    lost, more = (expected - found).total(), (found - expected).total()
    return f"{store}: {lost} of {expected.total()} files are missing or cut, {more} are not of it"
