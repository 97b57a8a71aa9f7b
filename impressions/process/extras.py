"""Optional packages: imported late, and an absent one answers with its install line.

`EXTRAS_OF` says which extras of pyproject.toml bring a package that is not part of every install.
Of several, the right one is that of the part of the system that wanted the package, and the
traceback tells who did: a person who serves is not sent to install Spark.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any

from impressions.core.errors import MissingDependency

EXTRAS_OF = {
    "pyspark": ("spark",),
    "py4j": ("spark",),
    "pyiceberg": ("spark",),
    "pyiceberg_core": ("spark",),
    "sqlalchemy": ("spark",),
    "requests": ("spark",),
    "pandas": ("spark",),
    "pyarrow": ("bulkload", "serving", "spark"),
    "rocksdict": ("bulkload", "serving", "speed", "spark"),
    "numba": ("serving", "speed", "spark"),
    "llvmlite": ("serving", "speed", "spark"),
    "prometheus_client": ("serving", "spark", "speed"),
    "grpc_health": ("serving",),
    "grpc_reflection": ("serving",),
    "grpc": ("client",),
    "grpc_status": ("client",),
    "google.rpc": ("client",),
    "google": ("client",),
    "pydantic": ("producer",),
    "pydantic_settings": ("producer",),
    "confluent_kafka": ("kafka", "producer", "serving", "speed", "spark"),
    "faust": ("speed",),
    "aiokafka": ("speed",),
    "mode": ("speed",),
    "cramjam": ("speed",),
    "flask": ("console",),
    "waitress": ("console",),
}
"""Package -> extras that bring it; the first is named where nobody in particular asked."""

_OF_CLIENT = {"client": "impressions-client", "producer": "impressions-client[producer]"}
"""What the client's distribution brings; every other extra is the server's."""

_ALONE = {"psycopg2": "psycopg2-binary"}  # a catalog in PostgreSQL; no extra has it
_WANTED_BY = {
    "impressions.client": "client",
    "impressions.console": "console",
    "serving": "serving",
    "impressions.deltas": "serving",
    "bulkload": "bulkload",
    "speed": "speed",
    "batch": "spark",
    "impressions.producer": "producer",
    "impressions.kafka": "kafka",
}


def require(module: str, extra: str | None = None) -> ModuleType:
    """The imported `module`, or MissingDependency with the line that installs its extra."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise missing(error, extra) or error from error


def named(target: str) -> Any:
    """The object that `module:name` names, imported now.

    For the parts that ask every layer (the table of verbs, doctor, status) and must not be above
    all of them: they name what they call, and what comes back is declared below them.
    """
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def missing(error: ModuleNotFoundError, extra: str | None = None) -> MissingDependency | None:
    """What to tell a person about a failed import; None when the module is not an optional one.

    `extra` is what the caller knows to be needed; of a package in the table it must be one that
    brings it.
    """
    name = error.name or ""
    package = name.partition(".")[0]
    if package in _ALONE:
        return MissingDependency(
            f"the Python package {package!r} is not installed",
            hint=f"pip install {_ALONE[package]}",
            reason="missing_package",
        )
    extras = EXTRAS_OF.get(".".join(name.split(".")[:2])) or EXTRAS_OF.get(package)
    if extras is None and extra is None:
        return None
    extras = extras or (extra or "",)
    wanted = [extra, *_wanted_by(error.__traceback__)]
    chosen = next((one for one in wanted if one in extras), None) or extras[0]
    return MissingDependency(
        f"the Python package {package!r} is not installed: expected {distribution_of(chosen)}",
        hint=install_line(chosen),
        reason="missing_extra",
    )


def install_line(extra: str) -> str:
    """What to type to get an extra."""
    name = distribution_of(extra)
    quoted = f"'{name}'" if "[" in name else name
    return f"pip install {quoted} (in a clone of the repository: make venv)"


def distribution_of(extra: str) -> str:
    """What brings an extra, as pip spells it."""
    return _OF_CLIENT.get(extra, f"impressions-server[{extra}]")


def _wanted_by(traceback: TracebackType | None) -> Iterator[str]:
    """The extras of our own modules on the way to the import, from the outermost on."""
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__spec__")
        name = getattr(module, "name", "")
        for prefix, extra in _WANTED_BY.items():
            if name == prefix or name.startswith(prefix + "."):
                yield extra
                break
        traceback = traceback.tb_next
