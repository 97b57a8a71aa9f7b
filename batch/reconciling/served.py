"""What a server answers about profiles, with every column, as numbers to compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from batch.reconciling.judging import Served, unreadable
from impressions.core.decay import Float
from impressions.core.errors import Refused
from impressions.core.item import pack
from impressions.core.spec import Spec
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from impressions.client import CallFailed, ImpressionsClient, ProfileResult


class Server:
    """A server, asked through the client that callers use."""

    def __init__(self, client: ImpressionsClient, settings: Settings):
        """Raises Refused where it is of another spec or P, and ServiceError where it is away."""
        self._client, self._spec = client, settings.spec
        described = client.describe()
        for what, found, expected in (
            ("spec", described.spec.fingerprint, settings.spec.fingerprint),
            ("P", described.partitions, settings.partitions),
        ):
            if found != expected:
                raise Refused(
                    f"the server has {what} {found}, but the settings say {expected}",
                    hint="use the settings of the server, or another --address",
                    reason="other_server",
                )
        self.shards = tuple(int(shard) for shard in described.shards)

    def answers(self, profiles: Sequence[int]) -> list[Served]:
        """About each profile, in order; what the host cannot read is said in `error`.

        Raises:
            ServiceError: there is no answer, for any other reason.
        """
        found = self._client.get_many(profiles, by_location=True, totals=True)
        return [self._served(p, one) for p, one in zip(profiles, found, strict=True)]

    def _served(self, profile_id: int, one: ProfileResult | CallFailed) -> Served:
        from impressions.client import ProfileResult

        if not isinstance(one, ProfileResult):
            if one.code != "DATA_LOSS":  # the server's trouble, not the data's
                raise one
            return unreadable(profile_id, f"{one.reason}: {one.message}")
        said = one.context
        locations = one.locations if one.locations is not None else np.zeros(len(one), np.uint32)
        items = pack(one.title_ids, locations.astype(np.int64))
        order = np.argsort(items)
        through_ms = said.stream_through_ms
        return Served(
            profile_id, said.query_time_ms, said.cutover_ms,
            max(said.cutover_ms, 0 if through_ms is None else through_ms),
            said.generation, said.reasons, items[order], _values(one, self._spec)[order],
        )  # fmt: skip


def _values(one: ProfileResult, spec: Spec) -> Float:
    columns: Iterable[Float] = (
        *(one.totals[m] for m in spec.measure_names),
        *(one.decayed[m, h] for m in spec.measure_names for h in spec.half_lives_days),
    )
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
