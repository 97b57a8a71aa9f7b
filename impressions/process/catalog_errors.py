"""What the catalog's libraries raise when the catalog is away or damaged, as errors of ours.

In: an exception of requests, pyiceberg, SQLAlchemy, or Spark's Java with the same cause behind it.
Out: ServiceError where the other side does not answer or refuses, CorruptData where the catalog's
file is no database, None for anything else. Classes are recognized by their modules' names, so
that a verb that never touches a catalog imports none of these libraries.
"""

from __future__ import annotations

from impressions.core.errors import CorruptData, ImpressionsError, ServiceError, causes

_HINT = (
    "does it run, and are catalog.uri, catalog.properties and catalog.python_properties right "
    "(impressions config)? impressions doctor asks it"
)
_DAMAGED = (
    "file is not a database", "database disk image is malformed", "sqlite_notadb", "sqlite_corrupt",
)  # fmt: skip
_AWAY_IN_JAVA = ("org.apache.iceberg.exceptions.restexception", "sqlite_cantopen", "sqlite_busy")
_AWAY = {
    "requests.exceptions": {"RequestException"},
    "pyiceberg.exceptions": {"RESTError"},
    "sqlalchemy.exc": {"OperationalError", "TimeoutError"},
}
_OUTCOME_OPEN = "CommitStateUnknownException"  # its callers look whether it happened
_MOST_TOLD = 300


def as_catalog_error(error: BaseException, where: str = "") -> ImpressionsError | None:
    """Our error for one of a catalog's libraries, itself or by its causes; None for any other.

    Args:
        where: what the message calls the catalog: its name and address.
    """
    if isinstance(error, ImpressionsError):
        return None
    subject = f"catalog {where}" if where else "the catalog"
    for cause in causes(error):
        text = str(cause).lower()
        if _is_database(cause) and any(sign in text for sign in _DAMAGED):
            return CorruptData(
                f"{subject} is damaged: {_first_line(cause)}, expected a database",
                hint="put back its backup (docs/operations.md), or name another: catalog.uri, home",
                reason="catalog_damaged",
            )
        if _is_away(cause) or any(sign in text for sign in _AWAY_IN_JAVA):
            return ServiceError(
                f"{subject} does not answer as it should: "
                f"{type(cause).__name__}: {_first_line(cause)}",
                hint=_HINT,
                reason="catalog",
            )
    return None


def _is_away(error: BaseException) -> bool:
    kinds = {(kind.__module__, kind.__name__) for kind in type(error).__mro__}
    if ("pyiceberg.exceptions", _OUTCOME_OPEN) in kinds:
        return False
    return any(name in _AWAY.get(module, ()) for module, name in kinds)


def _is_database(error: BaseException) -> bool:
    """SQLAlchemy's or the JVM's; a sentence in another library's error is nobody's catalog."""
    return any(
        kind.__module__.partition(".")[0] in ("sqlalchemy", "sqlite3", "py4j", "pyspark")
        for kind in type(error).__mro__
    )


def _first_line(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return text if len(text) <= _MOST_TOLD else text[:_MOST_TOLD] + " ..."
