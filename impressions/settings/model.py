"""Every setting of every process, in one model, and where its values come from.

    flags (--set key=value)  >  IMPRESSIONS_* in the environment  >  impressions.toml  >  default

The file is `impressions.toml` in the working directory, or the one of `--config`. In variables a
section is joined by two underscores: `IMPRESSIONS_SERVING__WORKERS=4` is `[serving] workers = 4` is
`--set serving.workers=4`. Relative paths are relative to the working directory. The
sections are in impressions/settings/sections/.

`Settings()` holds the defaults only and reads nothing, so that tests are not at the mercy of the
machine; processes call `load`. `impressions config` prints this model with the effective values.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from impressions.core.spec import Spec
from impressions.settings import sources
from impressions.settings.paths import expanded
from impressions.settings.sections.batch import (
    Audits,
    Catalog,
    Close,
    Compact,
    Housekeeping,
    Land,
    Quality,
    Spark,
    Week,
)
from impressions.settings.sections.live import Host, Kafka, Serving, Speed, Stream
from impressions.settings.sections.watching import Alerts, Console, Exporter, History, Reconcile


class Settings(BaseSettings):
    """The whole configuration. Frozen; `load` makes the one a process runs with."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        env_prefix="IMPRESSIONS_",
        env_nested_delimiter="__",
    )

    home: Path = Field(
        Path(".impressions"),
        description="directory of all local state: catalog.db, warehouse/, generations/, host/, "
        "kafka/, speed/, dev/, run/, logs/, history/, tmp/, reconcile.json",
    )
    slot_seconds: int = Field(
        86_400,
        gt=0,
        description="seconds of an ingest slot; divides a day; the same everywhere, never changed",
    )
    partitions: int = Field(
        8,
        ge=1,
        le=65_536,
        description="P: shards, Kafka partitions; the same everywhere, never changed",
    )
    generations_uri: str | None = Field(
        None,
        description="where exports go and loads come from; default: <home>/generations",
    )
    catalog: Catalog = Catalog()
    spark: Spark = Spark()
    audits: Audits = Audits()
    quality: Quality = Quality()
    kafka: Kafka = Kafka()
    stream: Stream = Stream()
    land: Land = Land()
    close: Close = Close()
    compact: Compact = Compact()
    speed: Speed = Speed()
    week: Week = Week()
    host: Host = Host()
    serving: Serving = Serving()
    reconcile: Reconcile = Reconcile()
    console: Console = Console()
    housekeeping: Housekeeping = Housekeeping()
    history: History = History()
    alerts: Alerts = Alerts()
    exporter: Exporter = Exporter()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load` reads the others itself, to know who said what

    @field_validator("slot_seconds")
    @classmethod
    def _divides_a_day(cls, value: int) -> int:
        if 86_400 % value:
            raise ValueError("expected a divisor of 86400, such as 86400, 3600 or 20")
        return value

    @field_validator("host")
    @classmethod
    def _shards_exist(cls, host: Host, info: ValidationInfo) -> Host:
        parse_shards(host.shards, info.data.get("partitions", 65_536))
        return host

    @property
    def home_dir(self) -> Path:
        return expanded(self.home)

    @property
    def spec(self) -> Spec:
        return _spec_of(self.slot_seconds)

    @property
    def catalog_file(self) -> Path:
        """The SQLite file of the default catalog."""
        return self.home_dir / "catalog.db"

    @property
    def warehouse_uri(self) -> str:
        return self.catalog.warehouse or f"file://{self.home_dir / 'warehouse'}"

    @property
    def generations(self) -> str:
        """An absolute path or a URI, without a slash at the end."""
        return self._place(self.generations_uri, "generations")

    @property
    def history_uri(self) -> str:
        """Where runs are recorded: an absolute path or a URI, without a slash at the end."""
        return self._place(self.history.uri, "history")

    def _place(self, uri: str | None, name: str) -> str:
        uri = uri or str(self.home_dir / name)
        return (uri if "://" in uri else str(expanded(Path(uri)))).rstrip("/")

    @property
    def host_dir(self) -> Path:
        return expanded(self.host.data_dir or self.home_dir / "host")

    @property
    def speed_dir(self) -> Path:
        """Where this worker keeps the state of its partitions."""
        return expanded(self.speed.state_dir or self.home_dir / "speed")

    @property
    def deltas_dir(self) -> Path:
        """Where this host keeps its copy of the deltas."""
        return self.host_dir / "deltas"

    @property
    def run_dir(self) -> Path:
        """Where running processes say that they run (impressions/process/registry.py)."""
        return self.home_dir / "run"

    @property
    def host_shards(self) -> tuple[int, ...]:
        """Ascending shard numbers that this host owns."""
        return parse_shards(self.host.shards, self.partitions)

    def origin(self, key: str) -> str:
        """Who set `key`, a dotted name: a flag, a variable, a file or "default"."""
        return self._origins.get(key, "default")


@functools.cache
def _spec_of(slot_seconds: int) -> Spec:
    """One for all: it is asked for all the time, and computes its fingerprint once."""
    return Spec(slot_ms=slot_seconds * 1000)


def load(config: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Reads all sources and checks every value.

    Args:
        config: the TOML file; None = `impressions.toml` in the working directory, if there is one.
        overrides: `key=value` texts of `--set`, the last of a key wins.

    Raises:
        SettingsError: naming the key, who set it, what was found and what was expected.
    """
    parts = (
        sources.read_file(Settings, config),
        sources.read_environment(Settings, os.environ),
        sources.read_overrides(Settings, overrides),
    )
    merged, origins = sources.merge(parts)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise sources.explain(Settings, error, origins) from None
    settings._origins = origins
    return settings


def parse_shards(text: str, partitions: int) -> tuple[int, ...]:
    """Shards of "all" or of "0-3,7" (both ends included), ascending; ValueError if not below P."""
    if text.strip() == "all":
        return tuple(range(partitions))
    shards: set[int] = set()
    for part in text.split(","):
        bounds = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (1, 0)
        if last < first:
            raise ValueError('expected "all" or numbers and ranges such as "0-3,7"')
        shards.update(range(first, last + 1))
    if max(shards) >= partitions:
        raise ValueError(f"expected shards in 0..{partitions - 1} (partitions = {partitions})")
    return tuple(sorted(shards))
