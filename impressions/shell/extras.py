"""Optional packages: imported late, and an absent one answers with its install line.

`EXTRA_OF` says which extra of pyproject.toml brings a package that is not part of every install.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from impressions.errors import MissingDependency

EXTRA_OF = {
    "pyspark": "spark",
    "pyiceberg": "spark",
    "pyiceberg_core": "spark",
    "pandas": "spark",
    "pyarrow": "bulkload",
    "rocksdict": "bulkload",
    "grpc_health": "serving",
    "grpc_reflection": "serving",
    "grpc": "client",
    "grpc_status": "client",
    "google": "client",
}


def require(module: str, extra: str | None = None) -> ModuleType:
    """The imported `module`, or MissingDependency with the line that installs its extra."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise missing(error, extra) or error from error


def missing(error: ModuleNotFoundError, extra: str | None = None) -> MissingDependency | None:
    """What to tell a person about a failed import; None when the module is not an optional one."""
    package = (error.name or "").partition(".")[0]
    extra = extra or EXTRA_OF.get(package)
    if extra is None:
        return None
    return MissingDependency(
        f"the Python package {package!r} is not installed: expected the extra [{extra}]",
        hint=install_line(extra),
        reason="missing_extra",
    )


def install_line(extra: str) -> str:
    """What to type to get an extra."""
    return f"pip install 'impressions[{extra}]' (in a clone of the repository: make venv)"
