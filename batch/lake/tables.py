"""The four Iceberg tables of the batch path: found, made, and whether they fit.

    raw        one row per valid impression, every copy kept; partitioned by ingest_slot
    rejected   what did not count, with the reason and the row as it came; partitioned by source
    ema        one row per (profile, title, location, tail day); partitioned by shard
    quality    one row per ingest day and segment (batch/quality); partitioned by month

What each holds is in columns.py, how its rows lie in files in layout.py. A table is made when
something is first written to it; one of an earlier version gets what it lacks then: new columns,
and of raw the layout.

A table carries the numbers it was made with, the spec's fingerprint and P, as properties. Settings
that differ are refused: a slot of another length or a shard of another P would be silently wrong.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from batch.lake import layout, locations
from batch.lake.catalog import open_catalog
from batch.lake.columns import (
    QUALITY_COLUMNS,
    RAW_COLUMNS,
    REJECTED_COLUMNS,
    arrow_schema,
    ema_columns,
    iceberg_schema,
)
from batch.lake.layout import TableLayout
from impressions.core.errors import NotReady, Refused
from impressions.core.spec import PARTITIONER, Spec
from impressions.settings.model import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

NAMESPACE = "impressions"
_ATTEMPTS, _PAUSE_S = 5, 0.2
SPEC_PROPERTY = "impressions.spec"
PARTITIONS_PROPERTY = "impressions.partitions"
PARTITIONER_PROPERTY = "impressions.partitioner"
SLOT_PROPERTY = "impressions.slot-ms"  # for people; the fingerprint covers it

RAW = "raw"
REJECTED = "rejected"
EMA = "ema"
QUALITY = "quality"

_LAYOUTS = {
    RAW: layout.RAW,
    REJECTED: layout.REJECTED,
    EMA: layout.EMA,
    QUALITY: layout.QUALITY,
}


def columns_of(table: str, spec: Spec) -> dict[str, str]:
    """Column name -> Spark SQL type, in the order of the table."""
    if table == EMA:
        return ema_columns(spec)
    return {RAW: RAW_COLUMNS, REJECTED: REJECTED_COLUMNS, QUALITY: QUALITY_COLUMNS}[table]


def full_name(settings: Settings, table: str) -> str:
    """`lake.impressions.raw`: what SQL, `spark.table` and procedures take."""
    return f"{settings.catalog.name}.{NAMESPACE}.{table}"


def find(settings: Settings, table: str) -> Table | None:
    """The table as it is now; None where it, or the default catalog, does not exist."""
    default = settings.catalog.type == "jdbc" and settings.catalog.uri is None
    if default and not settings.catalog_file.exists():
        return None
    return _load(open_catalog(settings), table)


def fitting(settings: Settings, table: str) -> Table | None:
    """The same; Refused where it does not fit."""
    there = find(settings, table)
    if there is not None:
        _check_fits(settings, there)
    return there


def require(settings: Settings, table: str, hint: str) -> Table:
    """NotReady (with `hint`) where the table does not exist; Refused where it does not fit."""
    there = fitting(settings, table)
    if there is None:
        raise NotReady(
            f"table {full_name(settings, table)} does not exist yet", hint=hint, reason="no_table"
        )
    return there


def to_rewrite(settings: Settings, hint: str) -> Table:
    """Raw as `require` gives it, in the layout in which files are written now."""
    require(settings, RAW, hint)
    return create_if_missing(settings, RAW)[0]


def create_if_missing(settings: Settings, *tables: str) -> list[Table]:
    """Makes the tables that are not there, and checks those that are. Raises Refused."""
    catalog = _with_namespace(settings)
    return [_made(catalog, settings, table) for table in tables]


def _check_fits(settings: Settings, table: Table) -> None:
    """Refused, with both values, where the table was made with other numbers than the settings, or
    lies in another home than the catalog that names it."""
    _check_home(settings, table)
    found, expected = table.properties, _identity(settings)
    for key, what in (
        (SLOT_PROPERTY, "slot_seconds x 1000"),
        (PARTITIONS_PROPERTY, "partitions"),
        (PARTITIONER_PROPERTY, "the partitioner"),
        (SPEC_PROPERTY, "the spec's fingerprint"),
    ):
        if found.get(key) != expected[key]:
            raise Refused(
                f"table {settings.catalog.name}.{'.'.join(table.name())} was made with {key} = "
                f"{found.get(key, 'none')}, but the settings say {expected[key]} ({what})",
                hint="use the settings the table was made with, or another home or catalog.uri",
                reason="table_mismatch",
            )


def _check_home(settings: Settings, table: Table) -> None:
    """A home that was copied or moved has a catalog that names the original's files."""
    if settings.catalog.type != "jdbc" or settings.catalog.uri is not None:
        return
    lies, here = (locations.local_path(at) for at in (table.location(), settings.warehouse_uri))
    if lies is not None and here is not None and not lies.is_relative_to(here):
        raise Refused(
            f"table {'.'.join(table.name())} lies in {lies}, expected below {here}: this home was "
            "copied or moved, and a commit would go into the original",
            hint="use the original home, or put it back in its place; a new home starts empty",
            reason="home_moved",
        )


def _with_namespace(settings: Settings) -> Catalog:
    """The catalog, with the namespace in it.

    The very first two jobs of a catalog both make its own tables, which fails for one of them.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            catalog = open_catalog(settings)
            catalog.create_namespace_if_not_exists(NAMESPACE)
        except Exception:  # each catalog's driver raises its own; the last one is raised on
            if not left:
                raise
            time.sleep(_PAUSE_S)
        else:
            return catalog
    raise AssertionError("unreachable: the last attempt returns or raises")


def _made(catalog: Catalog, settings: Settings, table: str) -> Table:
    from pyiceberg.exceptions import TableAlreadyExistsError

    columns, wanted = arrow_schema(columns_of(table, settings.spec)), _LAYOUTS[table]
    if there := _load(catalog, table):
        _check_fits(settings, there)
        there = layout.with_dictionaries(_with_new_columns(there, columns), wanted)
        return _in_layout(there, wanted) if table == RAW else there
    schema = iceberg_schema(columns)
    try:
        return catalog.create_table(
            (NAMESPACE, table),
            schema,
            partition_spec=layout.partition_spec(schema, wanted.partition),
            sort_order=layout.sort_order(schema, wanted.order),
            properties={**wanted.properties, **_identity(settings)},
        )
    except TableAlreadyExistsError:  # another job made it at the same moment
        return catalog.load_table((NAMESPACE, table))


def _with_new_columns(table: Table, columns: pa.Schema) -> Table:
    """Adds those that an earlier version of this code did not have; in old rows they are null."""
    import pyarrow as pa

    if new := [field for field in columns if field.name not in table.schema().column_names]:
        with table.update_schema() as update:
            update.union_by_name(pa.schema(new))
    return table


def _in_layout(table: Table, wanted: TableLayout) -> Table:
    """The table, brought into its layout whatever commits come between."""
    from pyiceberg.exceptions import CommitFailedException

    for left in reversed(range(_ATTEMPTS)):
        try:
            layout.bring_into(table, wanted)
        except CommitFailedException:  # another commit came first, maybe one that did this
            if not left:
                raise
            table.refresh()
    return table


def _load(catalog: Catalog, table: str) -> Table | None:
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    try:
        return catalog.load_table((NAMESPACE, table))
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def _identity(settings: Settings) -> dict[str, str]:
    return {
        SPEC_PROPERTY: settings.spec.fingerprint,
        PARTITIONS_PROPERTY: str(settings.partitions),
        PARTITIONER_PROPERTY: PARTITIONER,
        SLOT_PROPERTY: str(settings.spec.slot_ms),
    }
