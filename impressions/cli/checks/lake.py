"""The Iceberg catalog, asked from Python and, with --deep, by Spark."""

from __future__ import annotations

from impressions.cli.checks.check import needs
from impressions.core.errors import ImpressionsError, NotReady
from impressions.process.extras import named
from impressions.settings.model import Settings


def catalog(settings: Settings) -> str:
    needs("pyiceberg", "spark")
    default = settings.catalog.type == "jdbc" and settings.catalog.uri is None
    if default and not settings.catalog_file.exists():
        return f"{settings.catalog_file} (made at the first use)"
    try:
        namespaces = named("batch.lake.catalog:open_catalog")(settings).list_namespaces()
    except ImpressionsError:
        raise
    except Exception as error:  # of any of the catalog's libraries: a finding, with its text
        where = named("batch.lake.catalog:address")(settings)
        raise NotReady(
            f"catalog {where}: {type(error).__name__}: {error}",
            hint="check catalog.uri and catalog.python_properties: impressions config",
        ) from error
    return f"{settings.catalog.name} answers, {len(namespaces)} namespaces"


def spark(settings: Settings) -> str:
    needs("pyspark", "spark")
    with named("batch.spark.session:using_spark")(settings, "doctor") as spark:
        count = spark.sql(f"SHOW NAMESPACES IN `{settings.catalog.name}`").count()
        return f"Spark {spark.version} sees the catalog, {count} namespaces"
