"""What a copy of the deltas is good for: from the state it keeps of a partition."""

from __future__ import annotations

from impressions.core.completeness import StreamState
from impressions.core.spec import Spec
from impressions.deltas.store import PartitionState
from impressions.formats import heartbeat


def stream_state(state: PartitionState, spec: Spec) -> StreamState:
    """The stream state of answers that are read from a copy with this partition state."""
    if state.heartbeat is None:
        return StreamState(None, state.floor_ms, state.restoring)
    beat = heartbeat.decode(state.heartbeat, spec)
    return StreamState(beat.through_ms, max(beat.since_ms, state.floor_ms), state.restoring)
