"""The Iceberg catalog, as Spark and as pyiceberg spell the same settings.

Spark's JdbcCatalog and pyiceberg's SqlCatalog share two tables and one compare-and-set commit, if
they agree on the name, on schema V1 and on the warehouse's URI; those are the pairs below. For any
other type (rest in production) both get the same uri and warehouse. Properties of the settings are
added last and win.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from impressions.core.errors import MissingDependency, SettingsError
from impressions.process.catalog_errors import as_catalog_error
from impressions.process.extras import install_line, missing, require
from impressions.settings.model import Settings
from impressions.settings.secrets import masked

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

_BUSY_TIMEOUT_MS = 30_000  # several processes commit to one SQLite file; wait instead of failing


def jdbc_uri(settings: Settings) -> str:
    """The catalog's address; a path with signs that mean something in one is written as a URI."""
    path = str(settings.catalog_file)
    file = f"file:{quote(path)}" if set(path) & set("?#%") else path
    return settings.catalog.uri or f"jdbc:sqlite:{file}"


def spark_catalog(settings: Settings) -> dict[str, str]:
    """Spark properties `spark.sql.catalog.<name>...` of the catalog."""
    catalog = settings.catalog
    properties = {"type": catalog.type, "warehouse": settings.warehouse_uri}
    if catalog.type == "jdbc":
        properties["uri"] = jdbc_uri(settings)
        properties["jdbc.schema-version"] = "V1"  # the Java side creates V0 by default
        if properties["uri"].startswith("jdbc:sqlite:"):
            properties["jdbc.busy_timeout"] = str(_BUSY_TIMEOUT_MS)
    elif catalog.uri:
        properties["uri"] = catalog.uri
    properties["cache-enabled"] = "false"  # Spark would not see commits of pyiceberg for 30 s
    # A flipped bit is an error, never another number; Parquet's Java does not look by default.
    properties["hadoop.parquet.page.verify-checksum.enabled"] = "true"
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
    if settings.warehouse_uri.startswith("file:"):
        properties["py-io-impl"] = "batch.lake.durable.DurableFileIO"
    return properties | catalog.python_properties


def open_catalog(settings: Settings) -> Catalog:
    """The catalog in pyiceberg; the default SQLite file and its directory are made on first use.

    Raises:
        MissingDependency: a package that this type of catalog needs.
        ServiceError: it does not answer, or refuses.
        CorruptData: its file is no database.
    """
    require("pyiceberg.catalog", "spark")
    from pyiceberg.catalog import load_catalog

    if settings.catalog.type == "jdbc" and settings.catalog.uri is None:
        settings.catalog_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return load_catalog(settings.catalog.name, **python_catalog(settings))
    except ModuleNotFoundError as error:
        raise missing(error, "spark") or error from error
    except Exception as error:  # of requests, SQLAlchemy or pyiceberg; only known ones change
        if type(error).__name__ == "NotInstalledError":  # pyiceberg without one of its own extras
            raise MissingDependency(
                f"catalog {address(settings)}: {error}", hint=install_line("spark")
            ) from error
        raise as_catalog_error(error, address(settings)) or error from error


def address(settings: Settings) -> str:
    """The catalog's name, and where it is, without passwords."""
    catalog = settings.catalog
    uri = jdbc_uri(settings) if catalog.type == "jdbc" else catalog.uri
    return f"{catalog.name} at {masked(uri)}" if uri else catalog.name


def _sqlalchemy_uri(uri: str) -> str:
    """A JDBC address in SQLAlchemy's words."""
    if path := uri.removeprefix("jdbc:sqlite:") if uri.startswith("jdbc:sqlite:") else "":
        file = path if path.startswith("file:") else f"file:{quote(path)}"
        # SQLAlchemy takes one layer of escapes away, SQLite the other.
        escaped = quote(file, safe="/:")
        return f"sqlite:///{escaped}?uri=true&timeout={_BUSY_TIMEOUT_MS // 1000}"
    if uri.startswith("jdbc:postgresql:"):
        return "postgresql+psycopg2:" + uri.removeprefix("jdbc:postgresql:")
    raise SettingsError(
        f"setting catalog.uri: found {uri!r}, expected jdbc:sqlite:... or jdbc:postgresql://...",
        hint="for another database set catalog.python_properties.uri too, or use catalog.type=rest",
    )
