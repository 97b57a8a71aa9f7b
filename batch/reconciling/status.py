"""How far the reconciliation of this machine has come through all profiles."""

from __future__ import annotations

from batch.reconciling import rotation
from impressions.settings.model import Settings
from impressions.status.facts import Rotation
from impressions.status.questions import Absent


def read_rotation(settings: Settings) -> Rotation:
    """Raises Absent where no reconciliation has run as a service here."""
    if not rotation.file_of(settings).exists():
        raise Absent("no rotation through all profiles here", "impressions reconcile --every 10m")
    found = rotation.read(settings, 0)
    return Rotation(found.begun_ms, found.full_ms or None, found.profiles)
