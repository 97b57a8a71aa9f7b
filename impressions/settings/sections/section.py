"""What every section is: a frozen model that knows its keys, and two kinds of value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from impressions.settings import sources


class Section(BaseModel):
    """Default, unit and meaning stand at each field."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _flat_strings(value: Any) -> Any:
    """TOML reads `a.b = 1` as nested tables; engines want the flat string key `a.b`."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: str(v).lower() if isinstance(v, bool) else str(v)
        for key, v in sources.flatten(value).items()
    }


Properties = Annotated[dict[str, str], BeforeValidator(_flat_strings)]
MetricsListen = Annotated[
    str, Field(pattern=r"^.+:\d{1,5}$", description="host:port of /metrics; 0 = any free")
]
