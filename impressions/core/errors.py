"""Every error a person can meet, as one tree.

    ImpressionsError                 exit 1   anything of ours
    ├── UsageError                   exit 2   what was asked cannot be meant
    │   ├── SettingsError
    │   └── MappingError
    ├── MissingDependency            exit 3   Java, a jar, a Python extra
    ├── CorruptData                  exit 4   bytes that are not what they claim to be
    │   └── FormatVersionError                an older or newer format than this code reads
    ├── NotReady                     exit 5   right, but too early: run something else first
    ├── AuditFailed                  exit 6   computed, found wanting, not published
    ├── Refused                      exit 7   a generation or an import that must not be used
    └── ServiceError                 exit 8   the other side of a connection

A message says what was found and what was expected; `hint` is the line that fixes it. `reason` is
a short stable word for metrics, JSON and tests. The exit codes are a contract with schedulers
(docs/operations.md lists them); usage is 2 because argument parsers exit so.
"""

from __future__ import annotations

from collections.abc import Iterator


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on; an error may be its own cause."""
    seen = list[BaseException]()
    cause: BaseException | None = error
    while cause is not None and not any(cause is one for one in seen):
        seen.append(cause)
        yield cause
        cause = cause.__cause__


class ImpressionsError(Exception):
    """The root: a message for people, a `hint` that says what to do, a `reason` for machines."""

    exit_code = 1
    reason = "error"

    def __init__(self, message: str, *, hint: str | None = None, reason: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        if reason is not None:
            self.reason = reason

    def as_dict(self) -> dict[str, str | int | None]:
        """The JSON form that every verb prints under `--json`."""
        return {
            "error": type(self).__name__,
            "reason": self.reason,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class UsageError(ImpressionsError):
    """What was asked cannot be meant: a flag, an argument, a request field."""

    exit_code = 2
    reason = "usage"


class SettingsError(UsageError):
    """A setting is unknown, of the wrong type or out of its range."""

    reason = "settings"


class MappingError(UsageError):
    """An import mapping names a column, unit or default that does not fit the files."""

    reason = "mapping"


class MissingDependency(ImpressionsError):
    """Something must be installed or downloaded first; the hint is the line that does it."""

    exit_code = 3
    reason = "missing_dependency"


class CorruptData(ImpressionsError):
    """Bytes that do not decode: truncated, flipped, or never ours."""

    exit_code = 4
    reason = "corrupt"


class FormatVersionError(CorruptData):
    """A version byte this code does not read; the message holds both numbers."""

    reason = "format_version"


class NotReady(ImpressionsError):
    """Nothing is wrong, but a step before this one is missing."""

    exit_code = 5
    reason = "not_ready"


class AuditFailed(ImpressionsError):
    """An audit of a computed generation failed, so it was not published."""

    exit_code = 6
    reason = "audit_failed"


class Refused(ImpressionsError):
    """An input that would make answers wrong; nothing was changed."""

    exit_code = 7
    reason = "refused"


class ServiceError(ImpressionsError):
    """A server answered with an error or not at all."""

    exit_code = 8
    reason = "service"
