"""Where settings are written down, and how a complaint about one finds its place.

A layer is (where, values): a nested dict like the model, and for each leaf the text that tells a
person where it stands. Merging keeps, per dotted key, the last layer's value and its place; an
unknown key is refused with the nearest known one, because a typo that is ignored is a setting that
silently has its default.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings import SettingsError as SourceError

from impressions.core.errors import ImpressionsError, SettingsError
from impressions.settings.secrets import MASK, is_secret, masked

DEFAULT_FILE = Path("impressions.toml")
PREFIX = "IMPRESSIONS_"
# Switches of the product and of its tests; not settings.
_NOT_SETTINGS = {
    f"{PREFIX}{name}" for name in ("DEBUG", "FAILPOINT", "FAULTS", "FAUST_DEBUG", "TEST_SEED")
}


@dataclass(frozen=True)
class Layer:
    """One source: its values, and the place of a dotted key in it."""

    values: dict[str, Any]
    place: Callable[[str], str]


def known_keys(model: type[BaseModel]) -> dict[str, Any]:
    """Every dotted key of the model with its field."""
    keys: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys.update({f"{name}.{k}": f for k, f in known_keys(field.annotation).items()})
        else:
            keys[name] = field
    return keys


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def read_file(model: type[BaseModel], path: Path | None) -> Layer:
    """The TOML file; the default one may be absent, a named one may not."""
    chosen = path or DEFAULT_FILE
    if path is None and not chosen.exists():
        return Layer({}, str)
    try:
        values = tomllib.loads(chosen.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"settings file {chosen}: {error.strerror}: expected a readable file",
            hint="give --config an existing TOML file, or leave it out",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {chosen} is not TOML: {error}") from None
    _refuse_unknown(model, values, str(chosen))
    return Layer(values, lambda key: str(chosen))


def read_environment(model: type[BaseSettings], environ: Mapping[str, str]) -> Layer:
    """IMPRESSIONS_* variables. Others may use the prefix too (Kubernetes does, for a service of
    that name), so at the top level only what looks like a misspelt setting is refused: nearly the
    name of one, or a key of a section with one underscore where two are meant."""
    keys = known_keys(model)
    known = [key.split(".")[0] for key in keys]
    sections = {key.partition(".")[0] for key in keys if "." in key}
    flat = {key.replace(".", "_"): key for key in keys if "." in key}
    for name in environ:
        rest = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS or rest in known:
            continue
        if key := _meant(rest, flat):
            raise _unknown(name, "the environment", _variable(key))
        if "__" not in rest and (near := difflib.get_close_matches(rest, known, 1, 0.8)):
            raise _unknown(name, "the environment", PREFIX + near[0].upper())
        section = rest.partition("__")[0]
        if "__" in rest and section not in sections:
            near = difflib.get_close_matches(section, sections, 1, 0.6)
            raise _unknown(name, "the environment", PREFIX + near[0].upper() + "__" if near else "")
    for key in _tables(keys):
        name = _variable(key)
        if name in environ and not _is_json_object(environ[name]):
            raise SettingsError(
                f"setting {key} (from {name}): found {len(environ[name])} "
                "characters that are none (not shown, lest they hold secrets), expected a JSON "
                "object",
                hint=f'export {name}=\'{{"key": "value"}}\'',
            )
    try:
        values = EnvSettingsSource(model)()
    except SourceError as error:
        raise SettingsError(
            f"environment: {error}", hint="a whole section in one variable is written as JSON"
        ) from None
    _refuse_unknown(model, values, "the environment")
    return Layer(values, _variable)


def read_overrides(model: type[BaseModel], overrides: Sequence[str]) -> Layer:
    """`key=value` texts; what follows a table's name is a key of that table, dots and all."""
    keys = known_keys(model)
    tables = _tables(keys)
    values: dict[str, Any] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(
                f"--set {text!r}: found no '=', expected key=value",
                hint="for example: --set serving.workers=4",
            )
        table = next((t for t in tables if key.startswith(t + ".")), None)
        path = [*table.split("."), key[len(table) + 1 :]] if table else key.split(".")
        level = values
        for part in path[:-1]:
            level = level.setdefault(part, {})
            if not isinstance(level, dict):
                raise _unknown(key, "--set", _nearest(key, keys))
        level[path[-1]] = value
    _refuse_unknown(model, values, "--set")
    return Layer(values, lambda key: "--set")


def merge(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """One nested dict in which later layers win key by key, and the place of every leaf."""
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        _overlay(merged, layer.values)
        for key in flatten(layer.values):
            for depth in range(1, key.count(".") + 2):
                name = ".".join(key.split(".")[:depth])
                origins[name] = layer.place(name)
    return merged, origins


def explain(
    model: type[BaseModel], error: ValidationError, origins: Mapping[str, str]
) -> ImpressionsError:
    """All that pydantic found, one line per key: key, place, found, expected."""
    keys = known_keys(model)
    lines, hint = [], None
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        where = origins.get(key, "default")
        expected = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        shown = MASK if is_secret(key) else masked(item["input"])
        found = "" if isinstance(item["input"], BaseModel | dict) else f"found {shown!r}, "
        expected = expected if expected.startswith("expected") else f"expected {expected}"
        lines.append(f"setting {key} (from {where}): {found}{expected}")
        if hint is None and key in keys:
            hint = f"{key}: {keys[key].description} (default {keys[key].default!r})"
    return SettingsError("\n".join(lines), hint=hint or "impressions config prints every setting")


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _meant(rest: str, flat: Mapping[str, str]) -> str | None:
    """The key of a section whose underscores are miscounted in `rest`: `host_shards` and
    `host___shards` for host.shards, and nearly so in a section whose name is right."""
    single = "_".join(part for part in rest.split("_") if part)
    if rest in {key.replace(".", "__") for key in flat.values()}:
        return None
    if single in flat:
        return flat[single]
    if "__" in rest:
        return None
    own = [name for name, key in flat.items() if single.startswith(key.partition(".")[0] + "_")]
    near = difflib.get_close_matches(single, own, 1, 0.9)
    return flat[near[0]] if near else None


def _tables(keys: Mapping[str, Any]) -> list[str]:
    """The keys whose value is itself a table of free keys."""
    return [key for key, field in keys.items() if get_origin(field.annotation) is dict]


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        return False


def _overlay(target: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _overlay(target[key], value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value


def _refuse_unknown(
    model: type[BaseModel], values: Mapping[str, Any], where: str, prefix: str = ""
) -> None:
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is None:
            raise _unknown(prefix + name, where, _nearest(prefix + name, known_keys(model), prefix))
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if not isinstance(value, Mapping):
                raise SettingsError(
                    f"setting {name} (from {where}): found {masked(value)!r}, expected a table",
                    hint=f"for example: {name}.{next(iter(annotation.model_fields))} = ...",
                )
            _refuse_unknown(annotation, value, where, f"{prefix}{name}.")


def _nearest(key: str, keys: Iterable[str], prefix: str = "") -> str:
    names = [prefix + k for k in keys]
    names += sorted({k.rpartition(".")[0] for k in names if "." in k})
    near = difflib.get_close_matches(key, names, 1, 0.5)
    return near[0] if near else ""


def _unknown(key: str, where: str, nearest: str) -> SettingsError:
    return SettingsError(
        f"unknown setting {key} in {where}",
        hint=f"did you mean {nearest}?" if nearest else "impressions config prints every setting",
        reason="unknown_setting",
    )
