"""The arguments of a call as request messages; a number that no field can hold is a UsageError."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from impressions.core.errors import UsageError
from impressions.core.top import Top
from impressions.v1 import impressions_service_pb2 as pb


def projection_of(
    *,
    titles: Iterable[int] = (),
    locations: Iterable[int] = (),
    measures: Iterable[str] = (),
    half_lives_days: Iterable[int] = (),
    by_location: bool = False,
    top: Top | None = None,
    totals: bool = False,
    last_seen: bool = False,
    ema_rates: bool = False,
    plays_per_impression: bool = False,
    decayed: bool = True,
) -> pb.Projection:
    """Which rows and columns the answer has.

    Args:
        titles, locations, measures, half_lives_days: only these; empty means all.
        by_location: a row per (title, location) instead of per title.
        top: only the rows with the largest sum, largest first.
        totals, last_seen, ema_rates, plays_per_impression: add these columns.
        decayed: False leaves out the decayed sums.
    """
    projection: pb.Projection = message_of(
        pb.Projection,
        title_ids=titles,
        locations=locations,
        measures=measures,
        half_lives_days=half_lives_days,
        group_by=pb.GROUP_BY_TITLE_AND_LOCATION if by_location else pb.GROUP_BY_TITLE,
        include_totals=totals,
        include_last_seen=last_seen,
        include_ema_rates=ema_rates,
        include_plays_per_impression=plays_per_impression,
        omit_decayed=not decayed,
    )
    if top is not None:
        projection.top_k.CopyFrom(
            message_of(pb.TopK, k=top.k, measure=top.measure, half_life_days=top.half_life_days)
        )
    return projection


def message_of(kind: Any, **fields: Any) -> Any:
    """A message of this kind. Raises UsageError for a value that its field cannot hold."""
    try:
        return kind(**fields)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{kind.DESCRIPTOR.name}: {error}, expected what its field holds"
        ) from None
