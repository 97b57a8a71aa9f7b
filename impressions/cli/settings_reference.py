"""docs/settings.md, printed from the declaration of the settings (`config --reference`).

One table per section: key, default, what values are allowed, meaning. Nothing is written here that
the models (model.py and sections/ of impressions/settings) do not say, so the page cannot drift.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo

from impressions.settings.model import Settings

_HEAD = """\
# Settings

Printed by `impressions config --reference`; do not edit. `impressions config` prints the
values that are in effect, and who set each.

The strongest source wins, key by key:

1. a command's own flag, such as `impressions serve --workers 8`
2. `--set key=value`, which every command takes
3. a variable: `serving.workers` is `IMPRESSIONS_SERVING__WORKERS` (two underscores)
4. the file `impressions.toml` in the working directory, or `--config FILE`
5. the default

An unknown key is refused. Relative paths are relative to the working directory. A table holds free
keys: `--set spark.conf.spark.ui.enabled=true`, `[spark.conf]` in the file, or a JSON object in the
variable. Secrets belong into variables; `impressions config` prints them as `***`.
"""
_TABLE = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def settings_page() -> str:
    """The text of the page."""
    lines = [_HEAD, "## General", "", *_TABLE]
    lines += _rows("", (item for item in Settings.model_fields.items() if not _is_section(item[1])))
    for name, field in Settings.model_fields.items():
        if _is_section(field):
            model: type[BaseModel] = field.annotation  # type: ignore[assignment]
            lines += ["", f"## {name}", "", inspect.cleandoc(model.__doc__ or ""), "", *_TABLE]
            lines += _rows(f"{name}.", iter(model.model_fields.items()))
    return "\n".join(lines)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _rows(prefix: str, fields: Iterator[tuple[str, FieldInfo]]) -> Iterator[str]:
    for name, field in fields:
        meaning = re.sub(r"(\S*<home>[\w/.]*)", r"`\1`", field.description or "")
        cells = [f"`{prefix}{name}`", _default(field), _allowed(field), meaning]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is None or value == {}:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value.human_readable() if isinstance(value, ByteSize) else value}`"


def _allowed(field: FieldInfo) -> str:
    """What a value must be: a list of words, bounds, or its kind."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{word}`" for word in kinds)
    if get_origin(field.annotation) is dict:
        return "table"
    bounds = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in _BOUNDS.items()
        if hasattr(rule, name)
    ]
    return ", ".join(bounds) or _kind(kinds[0] if kinds else field.annotation)


def _kind(kind: Any) -> str:
    known = {bool: "true, false", str: "text"}
    return known[kind] if kind in known else str(kind.__name__).lower()
