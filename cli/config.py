"""`impressions config`: every setting, its effective value, and who set it."""

from __future__ import annotations

import re

from impressions.shell.command import Json, verb
from impressions.shell.console import Table, emit
from impressions.shell.layers import known_keys
from impressions.shell.settings import Settings

_SECRETS = ("password", "secret", "token", "credential", "key")


@verb
def command(settings: Settings, json: Json = False) -> None:
    """Print the effective settings and where each came from.

    Sources, the strongest first: --set key=value, IMPRESSIONS_* variables, impressions.toml,
    defaults. The values of properties whose name looks like a secret are masked.
    """
    rows = []
    for key, field in known_keys(Settings).items():
        value: object = settings
        for part in key.split("."):
            value = getattr(value, part)
        rows.append(
            {
                "key": key,
                "value": _masked(value),
                "from": settings.origin(key),
                "description": field.description,
            }
        )
    table = Table(
        ["setting", "value", "from", "meaning"],
        [[r["key"], _text(r["value"]), r["from"], r["description"]] for r in rows],
    )
    emit({"settings": rows}, json=json, table=table)


def _masked(value: object) -> object:
    if isinstance(value, str):
        return re.sub(r"://[^/@]+@", "://***@", value)
    if not isinstance(value, dict):
        return value
    return {
        k: "***" if any(word in k.lower() for word in _SECRETS) else v for k, v in value.items()
    }


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items()) or "-"
    return "-" if value is None else str(value)
