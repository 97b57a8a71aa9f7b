"""`impressions config`: every setting, its effective value, and who set it."""

from __future__ import annotations

from typing import Annotated

import typer

from impressions.process.command import Json, verb
from impressions.settings.model import Settings
from impressions.settings.secrets import found_in, masked, masked_text
from impressions.settings.sources import known_keys
from impressions.terminal.console import Table, emit


@verb
def command(
    settings: Settings,
    reference: Annotated[
        bool, typer.Option("--reference", help="Print docs/settings.md: every key, as Markdown.")
    ] = False,
    json: Json = False,
) -> None:
    """Print the effective settings and where each came from.

    Sources, the strongest first: --set key=value, IMPRESSIONS_* variables, impressions.toml,
    defaults. Secrets are masked, by the names of properties, in URIs, and wherever else they stand.

    \b
    Examples:
      impressions config
      impressions config --set partitions=64 --json
    """
    if reference:
        from impressions.cli.settings_reference import settings_page

        print(settings_page())
        return
    values = {key: _value(settings, key) for key in known_keys(Settings)}
    secrets = found_in(values.values())
    rows = [
        {
            "key": key,
            "value": masked(values[key], secrets),
            "from": masked_text(settings.origin(key), secrets),
            "description": field.description,
        }
        for key, field in known_keys(Settings).items()
    ]
    table = Table(
        ["setting", "value", "from", "meaning"],
        [[r["key"], _text(r["value"]), r["from"], r["description"]] for r in rows],
    )
    emit({"settings": rows}, json=json, table=table)


def _value(settings: Settings, key: str) -> object:
    value: object = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items()) or "-"
    return "-" if value is None else str(value)
