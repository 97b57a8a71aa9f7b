"""Python, the extras at their pinned versions, and the user that runs."""

from __future__ import annotations

import importlib
import re
import sys
from importlib import metadata

from impressions.cli.checks.check import Skip, needs
from impressions.core.errors import MissingDependency
from impressions.jvm.environment import named_user
from impressions.process.extras import install_line, missing

# What each extra is recognised by: the import that proves it works, and its distribution.
EXTRAS = {
    "spark": (("pyspark.sql", "pyspark"), ("pyiceberg.catalog", "pyiceberg"), ("pandas", "pandas")),
    "bulkload": (("rocksdict", "rocksdict"), ("pyarrow", "pyarrow")),
    "serving": (("grpc_health.v1.health", "grpcio-health-checking"), ("rocksdict", "rocksdict")),
    "kafka": (("confluent_kafka", "confluent-kafka"),),
    "speed": (
        ("faust.app", "faust-streaming"),
        ("aiokafka", "aiokafka"),
        ("mode", "mode-streaming"),
    ),
    "console": (("flask", "flask"), ("waitress", "waitress")),
}


def python() -> str:
    return f"{sys.version.split()[0]} in {sys.prefix}"  # an older one does not get this far


def extra(extra: str) -> str:
    """Every package of the extra imports, and has the version that pyproject.toml pins."""
    pins = _pins()
    versions = []
    for module, distribution in EXTRAS[extra]:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            absent = missing(error, extra)
            raise Skip(f"not installed; {absent.hint if absent else error}") from None
        version = metadata.version(distribution)
        if pins.get(distribution, version) != version:
            raise MissingDependency(
                f"found {distribution} {version}, expected {pins[distribution]}",
                hint=install_line(extra),
            )
        versions.append(f"{distribution} {version}")
    return ", ".join(versions)


def _pins() -> dict[str, str]:
    """The exact versions that this distribution asks for, by distribution name."""
    pin = re.compile(r"([A-Za-z0-9-]+)(?:\[.*?\])?==([^;\s]+)")
    matches = (pin.match(text) for text in metadata.requires("impressions-server") or ())
    return {match[1]: match[2] for match in matches if match}


def user() -> str:
    """Java asks the system who it runs as."""
    needs("pyspark", "spark")
    return named_user()
