"""Requests to queries: every field checked, the first bad one named.

In: protobuf messages as they came. Out: `Query` and ids that are in range. An invalid value is
refused with `InvalidField`: which field, the value, what was expected. Nothing is clipped, rounded
or silently left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from impressions.core.answer import Query, half_life_index, measure_index
from impressions.core.decay import Int
from impressions.core.errors import UsageError
from impressions.core.item import MAX_LOCATION, MAX_TITLE
from impressions.core.merge import Selection
from impressions.core.spec import Spec
from impressions.core.top import Top
from impressions.v1 import impressions_service_pb2 as pb

Name = TypeVar("Name", str, int)

MAX_TIME_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: later times have no name in ISO 8601."""


class InvalidField(UsageError):
    """A request field with an invalid value; `field` is its path in the request."""

    reason = "invalid_field"

    def __init__(
        self, field: str, message: str, *, hint: str | None = None, reason: str | None = None
    ):
        super().__init__(f"{field}: {message}", hint=hint, reason=reason)
        self.field = field


@contextlib.contextmanager
def in_field(field: str) -> Iterator[None]:
    """Names the field that a UsageError of the core is about."""
    try:
        yield
    except InvalidField:
        raise
    except UsageError as error:
        reason = None if error.reason == UsageError.reason else error.reason
        raise InvalidField(field, error.message, hint=error.hint, reason=reason) from None


def query_of(projection: pb.Projection, spec: Spec) -> Query:
    """The query for a projection; cached, because callers use the same few again and again.

    Raises:
        InvalidField: an unknown name of anything.
    """
    top = projection.top_k if projection.HasField("top_k") else None
    return _query(
        tuple(projection.measures),
        tuple(projection.half_lives_days),
        projection.group_by,
        None if top is None else Top(top.k, top.measure, top.half_life_days),
        projection.include_totals,
        projection.include_last_seen,
        not projection.omit_decayed,
        projection.include_ema_rates,
        projection.include_plays_per_impression,
        spec=spec,
    )


def selection_of(projection: pb.Projection, max_titles: int) -> Selection:
    """The titles and locations of a projection.

    Raises:
        InvalidField: too many titles, an id out of range.
    """
    count = len(projection.title_ids)
    if count > max_titles:
        raise InvalidField("projection.title_ids", f"{count} titles, expected at most {max_titles}")
    titles = _in_range("projection.title_ids", projection.title_ids, MAX_TITLE, "2^55-1")
    locations = _in_range("projection.locations", projection.locations, MAX_LOCATION, "255")
    return Selection(
        titles=_ascending(titles) if count else None,
        locations=locations if len(locations) else None,
    )


def profile_id_of(request: pb.GetProfileRequest | pb.StreamProfilesRequest) -> int:
    """The profile asked for: present and not negative."""
    if not request.HasField("profile_id"):
        raise InvalidField("profile_id", "absent, expected 0..2^63-1")
    return check_profile_id(request.profile_id)


def check_profile_id(profile_id: int, field: str = "profile_id") -> int:
    if profile_id < 0:
        raise InvalidField(field, f"{profile_id}, expected 0..2^63-1")
    return profile_id


def batch_ids_of(request: pb.BatchGetProfilesRequest, max_batch: int) -> Sequence[int]:
    """1..max_batch ids; each is checked later: an invalid one affects only its own result."""
    count = len(request.profile_ids)
    if not 1 <= count <= max_batch:
        raise InvalidField("profile_ids", f"{count} ids, expected 1..{max_batch}")
    return request.profile_ids


def query_time_of(
    request: pb.GetProfileRequest | pb.BatchGetProfilesRequest | pb.StreamProfilesRequest,
    now_ms: int,
) -> int:
    """The time the answer is for; now where the request names none."""
    if not request.HasField("query_time_ms"):
        return now_ms
    query_ms = request.query_time_ms
    if not 0 <= query_ms <= MAX_TIME_MS:
        raise InvalidField(
            "query_time_ms", f"{query_ms}, expected epoch milliseconds in 0..{MAX_TIME_MS}"
        )
    return query_ms


@lru_cache(256)
def _query(
    measures: tuple[str, ...],
    half_lives_days: tuple[int, ...],
    group_by: int,
    top: Top | None,
    *columns: bool,
    spec: Spec,
) -> Query:
    """`columns`: those of `Query`, in its order."""
    with in_field("projection.measures"):
        measures = _known(measures, spec.measure_names, measure_index, spec)
    with in_field("projection.half_lives_days"):
        half_lives = _known(half_lives_days, spec.half_lives_days, half_life_index, spec)
    if top is not None:
        _check_top(top, spec)
    return Query(measures, half_lives, _by_location(group_by), top, *columns)


def _known(
    chosen: tuple[Name, ...],
    known: tuple[Name, ...],
    index_of: Callable[[Name, Spec], int],
    spec: Spec,
) -> tuple[Name, ...]:
    """The names chosen, each once; all known names if none is chosen."""
    unique = tuple(dict.fromkeys(chosen))
    for name in unique:
        index_of(name, spec)
    return unique or known


def _in_range(field: str, ids: Sequence[int], largest: int, name: str) -> Int:
    """The ids as an array. Raises InvalidField for the first that is out of range."""
    values = np.array(ids, np.int64)
    if not len(values) or (values.min() >= 0 and values.max() <= largest):
        return values
    wrong = np.flatnonzero((values < 0) | (values > largest))
    if len(wrong):
        raise InvalidField(f"{field}[{wrong[0]}]", f"{values[wrong[0]]}, expected 0..{name}")
    return values


def _ascending(ids: Int) -> Int:
    """Sorted, each once; nothing is done if they are sorted already."""
    return ids if (ids[1:] > ids[:-1]).all() else np.unique(ids)


def _by_location(group_by: int) -> bool:
    if group_by not in pb.GroupBy.values():
        known = ", ".join(pb.GroupBy.keys())
        raise InvalidField("projection.group_by", f"{group_by}, expected one of {known}")
    return group_by == pb.GROUP_BY_TITLE_AND_LOCATION


def _check_top(top: Top, spec: Spec) -> None:
    if top.k < 1:
        raise InvalidField("projection.top_k.k", f"{top.k}, expected at least 1")
    with in_field("projection.top_k.measure"):
        measure_index(top.measure, spec)
    with in_field("projection.top_k.half_life_days"):
        half_life_index(top.half_life_days, spec)
