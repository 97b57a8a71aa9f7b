"""The name of the environment, on every page, and whether it is production.

Two windows look alike; the name and the colour say which system a person is looking at.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from impressions.settings.model import Settings


@dataclass(frozen=True)
class Environment:
    """Attributes:
    kind: `production` or `other`: a class of the style sheet, and a word beside the name.
    """

    name: str
    kind: str


def environment_of(settings: Settings, host_name: str | None = None) -> Environment:
    """The one that the settings name; else this host and its home."""
    said = settings.console.environment
    name = said or f"{host_name or platform.node() or 'this host'} {settings.home_dir}"
    is_production = said is not None and said.lower().startswith("prod")
    return Environment(name, "production" if is_production else "other")
