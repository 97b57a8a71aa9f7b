"""What the tables say of themselves, read with pyiceberg: no Spark, no JVM, no row of data.

    raw    how far it is valid and landed (properties of snapshots, by the jobs' own code), and per
           slot how many rows are undecided (metadata of its files)
    ema    the published generations (tags), what each was computed from, and what it lacks

A generation lacks the rows that came to its slots after the snapshot it was computed from. Counts
of rows per slot then and now say it; `close` rewrites rows and changes no count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch import tables
from batch.closing import SlotState
from batch.published import CUTOVER, SOURCE
from batch.snapshots import Snapshot, State, state_of
from batch.stale import lacking
from impressions.generation import generation_id, ref_name
from impressions.shell.catalog import open_catalog
from impressions.shell.settings import Settings
from impressions.spec import Spec
from local.asking import Absent

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table

_MAIN = "main"
SlotRows = dict[int, SlotState]

_read: dict[str, SlotRows] = {}  # by manifest: one never changes, and --watch asks again and again


@dataclass(frozen=True)
class Published:
    """A generation in the aggregate table.

    Attributes:
        entries: its rows.
        is_main: whether a plain SELECT shows it.
        lacks: rows of its slots that came after it was computed; None: its source has expired.
    """

    generation: str
    cutover_ms: int
    entries: int
    is_main: bool
    lacks: int | None


@dataclass(frozen=True)
class Lake:
    """Both tables. `slots`: by start in ms."""

    state: State
    slots: SlotRows
    generations: tuple[Published, ...]


def read_lake(settings: Settings) -> Lake:
    """Read the catalog. Raises Absent where nothing was landed yet."""
    default = settings.catalog.type == "jdbc" and settings.catalog.uri is None
    if default and not settings.catalog_file.exists():
        raise _nothing()
    catalog = open_catalog(settings)
    raw = _load(catalog, tables.RAW)
    if raw is None:
        raise _nothing()
    commits = _snapshots(raw)
    state = state_of(commits, _ref(raw, _MAIN))
    slots = _slots(raw, state.snapshot_id)
    ema = _load(catalog, tables.EMA)
    generations = () if ema is None else _generations(ema, raw, slots, settings.spec)
    return Lake(state, slots, generations)


def _generations(ema: Table, raw: Table, now: SlotRows, spec: Spec) -> tuple[Published, ...]:
    commits, main_id = _snapshots(ema), _ref(ema, _MAIN)
    found = []
    for name, ref in ema.metadata.refs.items():
        commit = commits.get(ref.snapshot_id)
        if commit is None or CUTOVER not in commit.summary:
            continue
        cutover_ms = int(commit.summary[CUTOVER])
        if name != ref_name("gen", cutover_ms):
            continue
        source_id, lacks = int(commit.summary[SOURCE]), None
        if raw.snapshot_by_id(source_id) is not None:
            lacks = sum(lacking(_slots(raw, source_id), now, cutover_ms, spec).values())
        found.append(
            Published(
                generation_id(cutover_ms),
                cutover_ms,
                int(commit.summary["total-records"]),
                ref.snapshot_id == main_id,
                lacks,
            )
        )
    return tuple(sorted(found, key=lambda generation: generation.cutover_ms))


def _load(catalog: Catalog, table: str) -> Table | None:
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return catalog.load_table((tables.NAMESPACE, table))
    except NoSuchTableError:
        return None


def _ref(table: Table, name: str) -> int | None:
    ref = table.metadata.refs.get(name)
    return None if ref is None else ref.snapshot_id


def _snapshots(table: Table) -> dict[int, Snapshot]:
    """All commits that the table remembers, as the jobs describe them."""
    found = {}
    for s in table.metadata.snapshots:
        said = s.summary.additional_properties if s.summary else {}
        operation = s.summary.operation.value if s.summary else ""
        found[s.snapshot_id] = Snapshot(
            s.snapshot_id, s.parent_snapshot_id, s.timestamp_ms, operation, dict(said)
        )
    return found


def _slots(raw: Table, snapshot_id: int | None) -> SlotRows:
    """Rows and undecided rows by slot, from the metadata of one snapshot's files."""
    rows: Counter[int] = Counter()
    undecided: Counter[int] = Counter()
    snapshot = None if snapshot_id is None else raw.snapshot_by_id(snapshot_id)
    for manifest in snapshot.manifests(raw.io) if snapshot else ():
        for slot, state in _slots_of(manifest, raw).items():
            rows[slot] += state.rows
            undecided[slot] += state.undecided
    return {slot: SlotState(n, undecided[slot]) for slot, n in rows.items()}


def _slots_of(manifest: ManifestFile, raw: Table) -> SlotRows:
    from pyiceberg.manifest import DataFileContent

    path = manifest.manifest_path
    if path not in _read:
        spec = raw.specs()[manifest.partition_spec_id]
        place = [field.name for field in spec.fields].index("ingest_slot")
        flag = raw.schema().find_field("duplicate").field_id
        rows: Counter[int] = Counter()
        undecided: Counter[int] = Counter()
        for entry in manifest.fetch_manifest_entry(raw.io):
            file = entry.data_file
            if file.content == DataFileContent.DATA:
                slot_ms = file.partition[place] // 1000
                nulls = (file.null_value_counts or {}).get(flag, file.record_count)
                rows[slot_ms] += file.record_count
                undecided[slot_ms] += nulls
        _read[path] = {slot: SlotState(n, undecided[slot]) for slot, n in rows.items()}
    return _read[path]


def _nothing() -> Absent:
    return Absent("nothing was landed yet", "impressions land, or impressions land --from-files")
