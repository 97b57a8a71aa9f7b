"""Profile ids as people may see them: not at all, unless the console was started to show them.

A short digest would be no mask: ids can be counted through, so it would be found again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MASK = "•••••"


@dataclass(frozen=True)
class Masking:
    """Attributes:
    shown: whether ids may be seen.
    """

    shown: bool = False

    def id(self, profile_id: int) -> str:
        return str(profile_id) if self.shown else MASK

    def text(self, text: str, profile_id: int | None = None) -> str:
        """A message of another part: what it says of profiles, and this id wherever it stands."""
        if self.shown:
            return text
        if profile_id is not None:
            text = re.sub(rf"(?<!\d){profile_id}(?!\d)", MASK, text)
        return re.sub(r"(\bprofile(?:_id)?s?[ =:]+)\d+", rf"\g<1>{MASK}", text)
