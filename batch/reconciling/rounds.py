"""How far reconciliation has come through all profiles, from the file of its service."""

from __future__ import annotations

from batch.reconciling import rotation
from impressions.clock import Clock, now_ms
from impressions.settings.model import Settings
from impressions.status.facts import Rounds
from impressions.status.questions import Absent


def read_rounds(settings: Settings, clock: Clock = now_ms) -> Rounds:
    """What the last round of the service left.

    Raises:
        Absent: the service never ran in this home.
    """
    if not rotation.file_of(settings).exists():
        raise Absent("no round of the service was ever done", "impressions reconcile --every 10m")
    state = rotation.read(settings, clock())
    return Rounds(state.begun_ms, state.profiles, state.full_ms, state.full_profiles)
