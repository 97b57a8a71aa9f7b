"""What a segment of a day's impressions is, and which segments every day is looked at by.

    all                        everything of the day
    location                   one location of the page
    device type                "tv", "phone", ...
    app version                of all device types
    app version on a type      where a release went wrong for one of them

`None` stands for "all of them". `unknown` is what producers did not say; `other` is what was too
small to be judged by itself and is pooled, so every grouping still adds up to the whole day.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

OTHER = "other"
UNKNOWN = "unknown"

GROUPINGS: tuple[tuple[str, ...], ...] = (
    (),
    ("location",),
    ("device_type",),
    ("app_version",),
    ("device_type", "app_version"),
)


@dataclass(frozen=True)
class Segment:
    """A part of a day's impressions; None: not divided by this."""

    location: str | None = None
    device_type: str | None = None
    app_version: str | None = None

    @cached_property
    def grouping(self) -> tuple[str, ...]:
        """Which of GROUPINGS it is of."""
        fields = ("location", "device_type", "app_version")
        return tuple(name for name in fields if getattr(self, name) is not None)

    @property
    def is_all(self) -> bool:
        return not self.grouping

    @property
    def is_pooled(self) -> bool:
        return OTHER in (self.location, self.device_type, self.app_version)

    @property
    def key(self) -> str:
        """`device_type=tv,app_version=8.14`; `all` for everything."""
        return ",".join(f"{name}={getattr(self, name)}" for name in self.grouping) or "all"

    @property
    def words(self) -> str:
        """`app version 8.14 on tv`."""
        if self.location is not None:
            return f"location {self.location}"
        if self.app_version is not None:
            on = "" if self.device_type is None else f" on {self.device_type}"
            return f"app version {self.app_version}{on}"
        return "all" if self.device_type is None else f"device type {self.device_type}"

    def holds(self, other: Segment) -> bool:
        """Whether `other` is a part of it, by its fields."""
        return all(getattr(self, name) == getattr(other, name) for name in self.grouping)


ALL = Segment()
