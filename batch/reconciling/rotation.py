"""How far the rotation through all profiles has come: a small file of <home>.

    <home>/reconcile.json    {"shard": 3, "profile_id": 42, "begun_ms": ..., "full_ms": ..., ...}

`begun_ms` is when the rotation that is under way began, `full_ms` when one that is through began:
every profile was compared since then. A file that cannot be read begins a new rotation.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from batch.reconciling.choosing import Place
from impressions.settings.model import Settings
from impressions.status import facts
from impressions.status.questions import Absent
from impressions.storage import local_files


@dataclass(frozen=True)
class Rotation:
    """See the module's docstring; times are epoch milliseconds, `full_ms` 0 before the first.

    Attributes:
        profiles: compared since `begun_ms`.   full_profiles: of the rotation that is through.
    """

    begun_ms: int
    shard: int = 0
    profile_id: int = 0
    profiles: int = 0
    full_ms: int = 0
    full_profiles: int = 0

    @property
    def place(self) -> Place:
        return Place(self.shard, self.profile_id)

    def after(self, profiles: int, place: Place | None, now_ms: int) -> Rotation:
        """After a round of so many profiles; `place` None: all shards are through."""
        so_far = self.profiles + profiles
        if place is None:
            return Rotation(now_ms, full_ms=self.begun_ms, full_profiles=so_far)
        return replace(self, shard=place.shard, profile_id=place.profile_id, profiles=so_far)


def file_of(settings: Settings) -> Path:
    return settings.home_dir / "reconcile.json"


def read(settings: Settings, now_ms: int) -> Rotation:
    """Where it stands; a new one where there is none."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Rotation(**json.loads(file_of(settings).read_text()))
    return Rotation(now_ms)


def write(settings: Settings, rotation: Rotation) -> None:
    """By a rename: a kill leaves the one before."""
    path = file_of(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    local_files.replace(path, json.dumps(asdict(rotation)).encode())


def read_rotation(settings: Settings) -> facts.Rotation:
    """What `impressions status` asks. Raises Absent where no reconciliation has run as a service
    here."""
    if not file_of(settings).exists():
        raise Absent("no rotation through all profiles here", "impressions reconcile --every 10m")
    found = read(settings, 0)
    return facts.Rotation(found.begun_ms, found.full_ms or None, found.profiles)
