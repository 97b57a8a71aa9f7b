"""The merged rows of one profile from its stored bytes: compiled where numba is installed.

The definition is impressions/formats/stored_profile.py, and tests hold both equal
(tests/unit/test_compiled.py). The compiled form holds no lock and makes no array in between. Bytes
that it refuses are read again by the definition, whose error says what was found and expected.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from impressions.compiled import cache
from impressions.compiled.loading import announce, can_compile
from impressions.compiled.of_spec import constants_of
from impressions.core import window
from impressions.core.decay import Int
from impressions.core.item import MAX_LOCATION
from impressions.core.merge import EVERYTHING, Selection, check_query_time
from impressions.core.rows import Rows
from impressions.core.spec import ITEM_LOCATION_BITS, Spec
from impressions.formats.stored_profile import MergeStored, merge_plain

_NO_CUTOVER_MS = -(2**63)
_NONE = np.empty(0, np.uint8)
_NO_TITLES = np.empty(0, np.int64)
_EVERY_LOCATION = np.ones(MAX_LOCATION + 1, np.bool_)


def merge_stored(spec: Spec, *, compiled: bool = True) -> MergeStored:
    """The fastest way there is here, or the plain one; compiles if this machine never did.

    A `Compiled` loads its code at the first call, or when it is told to (`warm`).
    """
    if not (compiled and can_compile()):
        return functools.partial(merge_plain, spec)
    prepare()
    return Compiled(spec)


def can_answer(spec: Spec) -> bool:
    """Whether impressions/compiled/answer.py, which was made for the measures and half-lives of the
    default spec, answers for this one."""
    made_for = Spec()
    return can_compile() and (
        (spec.measures, spec.half_lives_days, spec.window_days)
        == (made_for.measures, made_for.half_lives_days, made_for.window_days)
    )


def prepare() -> None:
    """Compile now what this machine has never compiled, and say so: it takes a minute or two.

    For a caller that is about to start several processes, which would each do it.
    """
    if can_compile() and not all(map(cache.is_filled, ("merge_bytes", "parse", "answer"))):
        announce("reads")
        from impressions.compiled import answer  # noqa: F401  compiled when it is imported

        Compiled(Spec()).warm()


class Compiled:
    """A `MergeStored` by impressions/compiled."""

    def __init__(self, spec: Spec):
        self._spec, self._constants = spec, constants_of(spec)

    @functools.cached_property
    def _merge_bytes(self) -> Any:
        from impressions.compiled.profile_kernels import merge_bytes

        return merge_bytes

    def __call__(
        self,
        query_ms: int,
        cutover_ms: int | None,
        block: bytes | None,
        deltas: Sequence[bytes],
        selection: Selection = EVERYTHING,
        *,
        by_title: bool = False,
    ) -> Rows:
        """See `merge_plain`."""
        if cutover_ms is not None:
            check_query_time(query_ms, cutover_ms)
        spec = self._spec
        ok, keys, last_seen_ms, numbers = self._merge_bytes(
            _NONE if block is None else np.frombuffer(block, np.uint8),
            np.frombuffer(b"".join(deltas), np.uint8) if deltas else _NONE,
            np.fromiter(map(len, deltas), np.int64, len(deltas)),
            self._times(query_ms, cutover_ms), *self._constants, *_chosen(selection), by_title,
        )  # fmt: skip
        if not ok:
            return merge_plain(
                spec, query_ms, cutover_ms, block, deltas, selection, by_title=by_title
            )
        if by_title:
            keys = keys << ITEM_LOCATION_BITS
        measures = len(spec.measures)
        sums = numbers[measures:].reshape(measures, len(spec.half_lives_days), len(keys))
        return Rows(keys, last_seen_ms, numbers[:measures], sums)

    def warm(self) -> None:
        """Load the compiled code, or compile it, so that no request has to wait for it."""
        self(0, None, None, [])

    def _times(self, query_ms: int, cutover_ms: int | None) -> Int:
        if cutover_ms is None:
            return np.array([query_ms, _NO_CUTOVER_MS, 0, _NO_CUTOVER_MS], np.int64)
        first = window.first_day(query_ms, self._spec)
        age = first - window.first_day(cutover_ms, self._spec)
        return np.array([query_ms, cutover_ms, age, cutover_ms], np.int64)


def _chosen(selection: Selection) -> tuple[Int, bool, Any, bool]:
    """Titles, whether any; locations as flags, whether any."""
    titles, locations = selection.titles, selection.locations
    wanted = _EVERY_LOCATION
    if locations is not None:
        wanted = np.zeros(MAX_LOCATION + 1, np.bool_)
        wanted[locations] = True
    return _NO_TITLES if titles is None else titles, titles is None, wanted, locations is None
