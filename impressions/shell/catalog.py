"""The Iceberg catalog, as Spark and as pyiceberg spell the same settings.

Spark's JdbcCatalog and pyiceberg's SqlCatalog share two tables and one compare-and-set commit, if
they agree on the name, on schema V1 and on the warehouse's URI; those are the pairs below. For any
other type (rest in production) both get the same uri and warehouse. Properties of the settings are
added last and win.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from impressions.errors import SettingsError
from impressions.shell.extras import require
from impressions.shell.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

_BUSY_TIMEOUT_MS = 30_000  # several processes commit to one SQLite file; wait instead of failing


def jdbc_uri(settings: Settings) -> str:
    return settings.catalog.uri or f"jdbc:sqlite:{settings.catalog_file}"


def spark_catalog(settings: Settings) -> dict[str, str]:
    """Spark properties `spark.sql.catalog.<name>...` of the catalog."""
    catalog = settings.catalog
    properties = {"type": catalog.type, "warehouse": settings.warehouse_uri}
    if catalog.type == "jdbc":
        properties["uri"] = jdbc_uri(settings)
        properties["jdbc.schema-version"] = "V1"  # the Java side creates V0 unless told
        if properties["uri"].startswith("jdbc:sqlite:"):
            properties["jdbc.busy_timeout"] = str(_BUSY_TIMEOUT_MS)
    elif catalog.uri:
        properties["uri"] = catalog.uri
    properties["cache-enabled"] = "false"  # pyiceberg commits behind Spark's 30 s cache
    properties.update(catalog.properties)
    prefix = f"spark.sql.catalog.{catalog.name}"
    return {prefix: "org.apache.iceberg.spark.SparkCatalog"} | {
        f"{prefix}.{key}": value for key, value in properties.items()
    }


def python_catalog(settings: Settings) -> dict[str, str]:
    """Properties of the same catalog for `pyiceberg.catalog.load_catalog`."""
    catalog = settings.catalog
    properties = {"type": catalog.type, "warehouse": settings.warehouse_uri}
    if catalog.type == "jdbc":
        properties |= {
            "type": "sql",
            "uri": _sqlalchemy_uri(jdbc_uri(settings)),
            "schema_version": "v1",
        }
    elif catalog.uri:
        properties["uri"] = catalog.uri
    return properties | catalog.python_properties


def open_catalog(settings: Settings) -> Catalog:
    """The catalog in pyiceberg; the default SQLite file and its directory are made on first use."""
    require("pyiceberg.catalog", "spark")
    from pyiceberg.catalog import load_catalog

    if settings.catalog.type == "jdbc" and settings.catalog.uri is None:
        settings.catalog_file.parent.mkdir(parents=True, exist_ok=True)
    return load_catalog(settings.catalog.name, **python_catalog(settings))


def _sqlalchemy_uri(uri: str) -> str:
    """A JDBC address in SQLAlchemy's words."""
    if path := uri.removeprefix("jdbc:sqlite:") if uri.startswith("jdbc:sqlite:") else "":
        return f"sqlite:///{path}"
    if uri.startswith("jdbc:postgresql:"):
        return "postgresql+psycopg2:" + uri.removeprefix("jdbc:postgresql:")
    raise SettingsError(
        f"setting catalog.uri: found {uri!r}, expected jdbc:sqlite:... or jdbc:postgresql://...",
        hint="for another database set catalog.python_properties.uri too, or use catalog.type=rest",
    )
