"""Compiled modules brought in, or None where they cannot be had.

numba is an optional package, and large: it is imported with the kernels and not before, and
whatever goes wrong with it leaves the plain form of the same thing, which is slower. The first
time on a machine compiling takes a minute or two, so that is said.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from impressions.compiled import cache
from impressions.terminal import log


def can_compile() -> bool:
    """Whether this platform has what compiled code needs."""
    return sys.byteorder == "little" and find_spec("numba") is not None


def announce(what: str) -> None:
    """Say that it is compiled now."""
    log.info("compiling", what=f"{what}, once on this machine", to=cache.directory())


def loaded(what: str, modules: dict[str, str]) -> list[Any] | None:
    """Modules of this package; compiles if this machine never did.

    Args:
        modules: name -> a function that is kept of it, see `cache.kept`.
    """
    if not can_compile():
        return None
    try:
        if not all(map(cache.is_filled, modules.values())):
            announce(what)
        return [import_module(f"{__package__}.{name}") for name in modules]
    except Exception as error:  # numba is large, and may fail in ways of its own
        log.warning("not-compiled", what=what, because=error)
        return None
