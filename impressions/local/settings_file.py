"""Settings as a file, so that processes started here have exactly those of their starter.

What was set is written, wherever it was set (flag, variable or file); `home` as an absolute path.
It may hold a password of `kafka.properties`, so only its owner may read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impressions.settings.model import Settings
from impressions.settings.sources import PREFIX
from impressions.storage import local_files

_KEPT = "IMPRESSIONS_DEBUG"


def write_settings(settings: Settings, path: Path) -> None:
    """Writes the TOML file, whole or not at all."""
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    text = toml_of(values | {"home": str(settings.home_dir)})
    path.parent.mkdir(parents=True, exist_ok=True)
    local_files.replace(path, text.encode(), mode=0o600)


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment less its settings: they are in the file, under what flags said."""
    return {k: v for k, v in environment.items() if not k.startswith(PREFIX) or k == _KEPT}


def toml_of(values: Mapping[str, Any], prefix: str = "") -> str:
    """Nested mappings as TOML; JSON's scalars are TOML's."""
    text = ""
    for key, value in values.items():
        if not isinstance(value, Mapping):
            text += f"{_quoted(key)} = {_quoted(value)}\n"
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            name = f"{prefix}{_quoted(key)}"
            text += f"\n[{name}]\n{toml_of(value, f'{name}.')}"
    return text


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
