"""One line of the report, and how a check becomes one.

ok      as it must be
fix     it is not, and `fix` says what to do
note    it is not, and only some commands, which are named, need it
skip    it is about something that this install does not have
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from impressions.core.errors import ImpressionsError, MissingDependency, NotReady


@dataclass(frozen=True)
class Check:
    """One line. `required` failures make the exit code 3; others are only shown."""

    area: str
    name: str
    state: Literal["ok", "fix", "note", "skip"]
    found: str
    fix: str | None = None
    required: bool = True


class Skip(Exception):
    """The check is about something that this install does not have."""


def run(
    area: str,
    name: str,
    check: Callable[[], str],
    *,
    required: bool = True,
    only_for: str | None = None,
) -> Check:
    """The line of a check; one that breaks is a finding, not the end of the others.

    Args:
        only_for: the commands that need it; what is absent or too early is then only noted.
    """
    try:
        return Check(area, name, "ok", check(), required=required)
    except Skip as skip:
        return Check(area, name, "skip", str(skip), required=False)
    except (MissingDependency, NotReady) as error:
        if only_for is None:
            return Check(area, name, "fix", error.message, error.hint, required)
        found = f"{error.message}; used only by {only_for}"
        return Check(area, name, "note", found, error.hint, required=False)
    except ImpressionsError as error:
        return Check(area, name, "fix", error.message, error.hint, required)
    except Exception as error:  # whatever a library raises is the answer of that one check
        return Check(area, name, "fix", f"{type(error).__name__}: {error}", None, required)


def needs(package: str, extra: str) -> None:
    """Raises Skip where a package of an extra is not installed."""
    if importlib.util.find_spec(package) is None:
        raise Skip(f"not needed without the extra [{extra}]")
