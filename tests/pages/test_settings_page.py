"""docs/settings.md is what the declaration of the settings says."""

from __future__ import annotations

import re
from pathlib import Path

from impressions.cli.settings_reference import settings_page
from impressions.settings.model import Settings
from impressions.settings.sources import known_keys

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_reference_prints() -> None:
    """Run `impressions config --reference > docs/settings.md` after a change of a setting."""
    assert PAGE.read_text() == settings_page() + "\n"


def test_every_key_has_one_row() -> None:
    """No setting is left out, none stands twice."""
    rows = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(known_keys(Settings))
