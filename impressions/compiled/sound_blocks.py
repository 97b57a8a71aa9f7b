"""Whether a profile block is one, compiled where that is sooner done: for whoever checks a store.

Decoding in Python takes some 300 us a block, however small, and a load looks at every row of a
generation. The definition is `profile_block.decode`; tests hold both equal
(tests/unit/test_sound_blocks.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from impressions.compiled import cache
from impressions.compiled.loading import can_compile, loaded
from impressions.compiled.of_spec import constants_of
from impressions.core.errors import CorruptData
from impressions.core.spec import Spec
from impressions.formats import profile_block

IsSound = Callable[[bytes, int], bool]
"""Bytes and the cutover they should be relative to -> whether they are a block of a profile."""

_FEW, _FEW_UNCOMPILED = 2_000, 50_000
"""Blocks below which decoding is sooner done than loading compiled code, or than compiling it."""


def is_sound(spec: Spec, blocks: int) -> IsSound:
    """A function for so many blocks of this spec."""
    if blocks >= _FEW and can_compile():
        least = _FEW if cache.is_filled("is_sound") else _FEW_UNCOMPILED
        if blocks >= least and (compiled := kernel()) is not None:
            return by(compiled, spec)
    return lambda data, cutover_ms: decodes(data, cutover_ms, spec)


def decodes(data: bytes, cutover_ms: int, spec: Spec) -> bool:
    """The definition."""
    try:
        return profile_block.decode(data, spec).reference_ms == cutover_ms
    except CorruptData:
        return False


def by(compiled: Any, spec: Spec) -> IsSound:
    """The compiled form."""
    constants = constants_of(spec)
    return lambda data, cutover_ms: bool(
        compiled(np.frombuffer(data, np.uint8), cutover_ms, *constants)
    )


@functools.cache
def kernel() -> Any | None:
    """The compiled function; compiles if this machine never did. None where it cannot be had."""
    found = loaded("checks of blocks", {"sound_kernel": "is_sound"})
    return found[0].is_sound if found else None
