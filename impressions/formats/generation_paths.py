"""Names: of generations, of Iceberg refs, and of every file and directory a generation lives in.

A generation is named by its cutover: `2026-11-15` at a UTC midnight, `2026-11-15T06-00-00` in a
day. Names sort like their cutovers within one slot length. No other module joins these paths.

    published, on any filesystem        <generations>/<id>/manifest.json          written last
                                        <generations>/<id>/shard=<n>/*.sst
                                        <generations>/<id>/removing.json     what is being deleted
    on a serving host                   <data>/CURRENT                            which one answers
                                        <data>/generations/<id>/manifest.json     as published
                                        <data>/generations/<id>/db/shard=<n>/     RocksDB, read-only
                                        <data>/generations/<id>/loaded.json       a load's last file
                                        <data>/generations/<id>/seam.json         an activation's
                                        <data>/generations/<id>/checked.json      a check's
                                        <data>/generations/<id>/ROLLED_BACK       a mark
                                        <data>/loading/<id>.<pid>/                a load under way
                                        <data>/loading/<id>.<pid>.replaced        put aside by it
                                        <data>/loading/<id>.<pid>.removed         put aside by a gc
                                        <data>/load.lock, pointer.lock            who is at work
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from impressions.core.errors import UsageError
from impressions.core.spec import DAY_MS

MANIFEST = "manifest.json"
REPORT = "report.json"
REMOVING = "removing.json"
CURRENT = "CURRENT"
LOADED = "loaded.json"
SEAM = "seam.json"
CHECKED = "checked.json"
STORE = "db"
LOADING = "loading"
REPLACED = ".replaced"
REMOVED = ".removed"
ROLLED_BACK = "ROLLED_BACK"

_DATE, _TIME = "%Y-%m-%d", "%Y-%m-%dT%H-%M-%S"


def generation_id(cutover_ms: int) -> str:
    """The name of the generation with this cutover (whole seconds). Raises UsageError for a time
    that no calendar has."""
    try:
        moment = datetime.fromtimestamp(cutover_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"cutover {cutover_ms} ms: expected a time of our era") from None
    return moment.strftime(_TIME if cutover_ms % DAY_MS else _DATE)


def cutover_of(generation: str) -> int:
    """The cutover in epoch milliseconds. Raises UsageError for what is no generation's name."""
    for layout in (_DATE, _TIME):
        try:
            moment = datetime.strptime(generation, layout).replace(tzinfo=UTC)
        except ValueError:
            continue
        return round(moment.timestamp()) * 1000
    raise UsageError(
        f"generation {generation!r}: expected a name such as 2026-11-15 or 2026-11-15T06-00-00"
    )


def is_generation(name: str) -> bool:
    """Whether a directory of this name can be a generation."""
    try:
        return generation_id(cutover_of(name)) == name
    except UsageError:
        return False


def ref_name(kind: str, cutover_ms: int) -> str:
    """An Iceberg ref, e.g. `gen_2026_11_15`; `kind` is gen, audit or window."""
    return f"{kind}_{generation_id(cutover_ms).replace('-', '_')}"


def shard_dir(shard: int) -> str:
    return f"shard={shard}"


def sst_path(shard: int, part: int, attempt: str) -> str:
    """Path of one SST file within its generation; the attempt keeps retries apart."""
    return f"{shard_dir(shard)}/{part:05d}-{attempt}.sst"


class HostPaths:
    """Where a serving host keeps its generations."""

    def __init__(self, data_dir: Path):
        self.root = data_dir
        self.current = data_dir / CURRENT
        self.generations = data_dir / "generations"
        self.loading = data_dir / LOADING

    def generation(self, generation: str) -> Path:
        return self.generations / generation

    def manifest(self, generation: str) -> Path:
        return self.generation(generation) / MANIFEST

    def loaded(self, generation: str) -> Path:
        return self.generation(generation) / LOADED

    def store(self, generation: str) -> Path:
        """The store: a directory with one RocksDB per shard of this host."""
        return self.generation(generation) / STORE

    def seam(self, generation: str) -> Path:
        """What its last activation found when it compared (impressions/formats/seam_record.py)."""
        return self.generation(generation) / SEAM

    def checked(self, generation: str) -> Path:
        """When every byte of it was last read and found well (impressions/formats/pointer.py)."""
        return self.generation(generation) / CHECKED

    def rolled_back(self, generation: str) -> Path:
        return self.generation(generation) / ROLLED_BACK

    def workdir(self, generation: str, pid: int, ending: str = "") -> Path:
        """Where a process prepares a generation, or puts one aside (REPLACED, REMOVED)."""
        return self.loading / f"{generation}.{pid}{ending}"

    def lock(self, which: str) -> Path:
        return self.root / f"{which}.lock"
