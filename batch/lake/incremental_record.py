"""What a generation's snapshot says of shards that were made from the generation before.

    impressions.incremental    JSON {"base": generation, "since": {cutover_ms: [shard, ...]},
                               "unfit": [shard, ...]}; absent where every shard is from scratch

`since`: the last cutover at which a shard was computed from scratch. `unfit`: shards that could not
be had from the generation before; they are tried again when it is their turn to be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

PROPERTY = "impressions.incremental"


@dataclass(frozen=True)
class Record:
    """Of one generation.

    Attributes:
        base: the generation before, where a shard was made from it.
        since_ms: shard -> cutover; shards that are not named were computed from scratch.
    """

    base: str = ""
    since_ms: Mapping[int, int] = field(default_factory=dict)
    unfit: frozenset[int] = frozenset()


def encode(record: Record) -> dict[str, str]:
    """Snapshot properties; none where there is nothing to say."""
    if not record.since_ms and not record.unfit:
        return {}
    by_cutover: dict[int, list[int]] = {}
    for shard, cutover_ms in sorted(record.since_ms.items()):
        by_cutover.setdefault(cutover_ms, []).append(shard)
    said = {"base": record.base, "since": by_cutover, "unfit": sorted(record.unfit)}
    return {PROPERTY: json.dumps(said, separators=(",", ":"))}


def decode(summary: Mapping[str, str]) -> Record:
    """Of a signed snapshot."""
    if PROPERTY not in summary:
        return Record()
    said = json.loads(summary[PROPERTY])
    since_ms = {shard: int(ms) for ms, shards in said["since"].items() for shard in shards}
    return Record(said["base"], since_ms, frozenset(said["unfit"]))
