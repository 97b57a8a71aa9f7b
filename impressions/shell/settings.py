"""Every setting of every process: its default, unit, meaning and check, in one model.

    flags (--set key=value)  >  IMPRESSIONS_* in the environment  >  impressions.toml  >  default

The file is `impressions.toml` in the working directory, or the one of `--config`. In variables a
section is joined by two underscores: `IMPRESSIONS_SERVING__WORKERS=4` is `[serving] workers = 4` is
`--set serving.workers=4`. Relative paths are relative to the working directory.

`Settings()` holds the defaults only and reads nothing, so that tests are not at the mercy of the
machine; processes call `load`. `impressions config` prints this model with the effective values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from impressions.shell import layers
from impressions.spec import Spec

_FROZEN = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _flat_strings(value: Any) -> Any:
    """TOML reads `a.b = 1` as nested tables; engines want the flat string key `a.b`."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: str(v).lower() if isinstance(v, bool) else str(v)
        for key, v in layers.flatten(value).items()
    }


Properties = Annotated[dict[str, str], BeforeValidator(_flat_strings)]


class Catalog(BaseModel):
    """The Iceberg catalog, shared by Spark and pyiceberg (impressions/shell/catalog.py)."""

    model_config = _FROZEN

    name: str = Field("lake", min_length=1, description="name of the catalog in both engines")
    type: Literal["jdbc", "rest", "hive", "glue"] = Field(
        "jdbc", description="kind of catalog; jdbc on SQLite needs no server"
    )
    uri: str | None = Field(
        None, description="address (jdbc:..., http://...); default: SQLite file <home>/catalog.db"
    )
    warehouse: str | None = Field(
        None, description="where tables live, with a scheme; default: file://<home>/warehouse"
    )
    properties: Properties = Field(
        {}, description="further properties, passed to Spark's catalog as they are"
    )
    python_properties: Properties = Field(
        {}, description="further properties, passed to pyiceberg's catalog as they are"
    )


class Spark(BaseModel):
    """How the batch jobs start Spark, unless spark-submit already has."""

    model_config = _FROZEN

    master: str = Field("local[*]", description="Spark master")
    driver_memory: str = Field(
        "4g", pattern=r"^\d+[kmgt]b?$", description="JVM heap of the driver, such as 4g"
    )
    conf: Properties = Field({}, description="further Spark properties; they win over ours")
    jars_dir: Path | None = Field(
        None, description="cache of pinned jars; default: the user's cache directory"
    )


class Audits(BaseModel):
    """Thresholds of the audits that a generation must pass before it is published."""

    model_config = _FROZEN

    volume_min_ratio: float = Field(
        0.5, ge=0, description="impressions, at least so many times the median of earlier ones"
    )
    volume_max_ratio: float = Field(2.0, gt=0, description="and at most so many times")
    volume_generations: int = Field(
        4, ge=0, description="earlier generations that median is of; 0 turns the comparison off"
    )
    sample_profiles: int = Field(
        1_000, ge=0, description="profiles recomputed from raw; 0 turns it off"
    )
    sample_events: int = Field(
        5_000_000, ge=1, description="fewer profiles are taken once these hold so many events"
    )
    sum_tolerance: float = Field(
        1e-9, gt=0, description="relative; of sums of fractions, whose last bits depend on order"
    )


class Kafka(BaseModel):
    """The broker and the topics. Any Kafka; without an address, the local one of this project."""

    model_config = _FROZEN

    bootstrap: str | None = Field(
        None, description="host:port,...; default: the broker of `impressions kafka start`, if any"
    )
    topic: str = Field("impressions", min_length=1, description="topic that devices' logs go to")
    deltas_topic: str = Field(
        "impression-deltas", min_length=1, description="topic of the stream's aggregates"
    )
    rejected_topic: str = Field(
        "impressions-rejected", min_length=1, description="dead letters of the stream"
    )
    replication_factor: int = Field(1, ge=1, description="of topics that are created")
    retention_days: int = Field(
        7, ge=1, description="days the source topic keeps records; land must run within them"
    )
    properties: Properties = Field(
        {}, description="librdkafka properties: security.protocol, sasl.*, ssl.*, passed through"
    )


class Stream(BaseModel):
    """What the worker and every copy of its deltas agree on."""

    model_config = _FROZEN

    epoch: int = Field(
        1, ge=1, lt=1 << 32, description="incarnation of the source topic; raise if it is recreated"
    )
    keep_days: int = Field(
        28, ge=1, description="days of deltas kept; the oldest generation to roll back to"
    )


class Land(BaseModel):
    """Kafka into raw."""

    model_config = _FROZEN

    clock_margin_s: float = Field(
        60, ge=0, description="how far the broker's clock may differ from the lander's"
    )
    max_records: int = Field(
        2_000_000, ge=1, description="Kafka records per commit and partition, at most"
    )


class Speed(BaseModel):
    """The streaming worker."""

    model_config = _FROZEN

    group: str = Field("impressions-speed", min_length=1, description="consumer group of workers")
    state_dir: Path | None = Field(
        None, description="directory of this worker's state; default: <home>/speed"
    )
    batch_records: int = Field(2_000, ge=1, description="Kafka records applied at once, at most")
    within_s: float = Field(0.1, gt=0, description="seconds until a smaller batch is applied")
    heartbeat_s: float = Field(
        0.25, gt=0, description="seconds between heartbeats of partitions without traffic"
    )
    clock_margin_s: float = Field(
        2, ge=0, description="how far the broker's clock may differ from the worker's"
    )
    session_timeout_s: float = Field(
        10, ge=6, description="seconds without a sign of life until partitions move on"
    )
    stall_s: float = Field(
        60, gt=0, description="seconds without progress while there is work, until it gives up"
    )
    metrics_listen: str = Field(
        "127.0.0.1:0", pattern=r"^.+:\d{1,5}$", description="host:port of /metrics; 0 = any free"
    )


class Host(BaseModel):
    """One machine that holds generations for serving."""

    model_config = _FROZEN

    data_dir: Path | None = Field(
        None, description="directory of this host's RocksDB generations; default: <home>/host"
    )
    shards: str = Field(
        "all", description='shards this host owns: "all", or numbers and ranges: "0-3,7"'
    )
    reserve_bytes: ByteSize = Field(
        ByteSize(1 << 30), ge=0, description="bytes of disk that stay free after a load"
    )
    keep: int = Field(
        3, ge=1, description="usable generations kept by gc; 3 allow a rollback by two"
    )


class Serving(BaseModel):
    """The gRPC service."""

    model_config = _FROZEN

    listen: str = Field(
        "127.0.0.1:50051", pattern=r"^.+:\d{1,5}$", description="host:port; port 0 = any free one"
    )
    workers: int = Field(1, ge=1, le=256, description="processes that share the port")
    threads: int = Field(8, ge=1, le=1024, description="request threads per worker")
    max_concurrent: int = Field(
        64,
        ge=1,
        description="calls in flight per worker, and as many open streams; more are refused",
    )
    max_batch: int = Field(256, ge=1, description="profiles in one batch request")
    max_titles: int = Field(500, ge=1, description="titles in one request's filter")
    max_request_bytes: ByteSize = Field(
        ByteSize(1 << 20), ge=1024, description="bytes of one request message"
    )
    grace_s: float = Field(10, ge=0, description="seconds for running requests after SIGTERM")
    deltas: Literal["auto", "on", "off"] = Field(
        "auto", description="merge the live stream; auto: where a broker is configured"
    )
    max_stream_lag_s: float = Field(
        15, gt=0, description="seconds the stream may be behind before answers say so"
    )
    catch_up_s: float = Field(
        0.05, gt=0, description="seconds between looks at the shared copy of the deltas"
    )
    metrics_listen: str = Field(
        "127.0.0.1:0", pattern=r"^.+:\d{1,5}$", description="host:port of /metrics; 0 = any free"
    )
    poll_s: float = Field(
        0.2, gt=0, description="seconds between looks for a newly activated generation"
    )
    tls_cert: Path | None = Field(None, description="PEM certificate chain; turns TLS on")
    tls_key: Path | None = Field(None, description="PEM private key of tls_cert")
    tls_client_ca: Path | None = Field(
        None, description="PEM CA that clients' certificates must be signed by"
    )
    token_file: Path | None = Field(
        None,
        description="file of bearer tokens, one per line; every call but health must carry one",
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Serving:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: expected both or none")
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        return self


class Settings(BaseSettings):
    """The whole configuration. Frozen; `load` makes the one a process runs with."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        env_prefix="IMPRESSIONS_",
        env_nested_delimiter="__",
    )

    home: Path = Field(Path(".impressions"), description="directory of all local state")
    slot_seconds: int = Field(
        86_400, gt=0, description="seconds of an ingest slot; divides a day; same everywhere"
    )
    partitions: int = Field(
        8, ge=1, le=65_536, description="P: shards, Kafka partitions; same everywhere"
    )
    generations_uri: str | None = Field(
        None, description="where exports go, path or URI; default: <home>/generations"
    )
    catalog: Catalog = Catalog()
    spark: Spark = Spark()
    audits: Audits = Audits()
    kafka: Kafka = Kafka()
    stream: Stream = Stream()
    land: Land = Land()
    speed: Speed = Speed()
    host: Host = Host()
    serving: Serving = Serving()

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
        return self.home.expanduser().absolute()

    @property
    def spec(self) -> Spec:
        return Spec(slot_ms=self.slot_seconds * 1000)

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
        uri = self.generations_uri or str(self.home_dir / "generations")
        return (uri if "://" in uri else str(Path(uri).expanduser().absolute())).rstrip("/")

    @property
    def host_dir(self) -> Path:
        return (self.host.data_dir or self.home_dir / "host").expanduser().absolute()

    @property
    def speed_dir(self) -> Path:
        """Where this worker keeps the state of its partitions."""
        return (self.speed.state_dir or self.home_dir / "speed").expanduser().absolute()

    @property
    def deltas_dir(self) -> Path:
        """Where this host keeps its copy of the deltas."""
        return self.host_dir / "deltas"

    @property
    def run_dir(self) -> Path:
        """Where running processes say that they run (impressions/shell/running.py)."""
        return self.home_dir / "run"

    @property
    def host_shards(self) -> tuple[int, ...]:
        """Ascending shard numbers that this host owns."""
        return parse_shards(self.host.shards, self.partitions)

    def origin(self, key: str) -> str:
        """Who set `key`, a dotted name: a flag, a variable, a file or "default"."""
        return self._origins.get(key, "default")


def load(config: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Reads all sources and checks every value.

    Args:
        config: the TOML file; None = `impressions.toml` in the working directory, if there is one.
        overrides: `key=value` texts of `--set`, the last of a key wins.

    Raises:
        SettingsError: naming the key, who set it, what was found and what was expected.
    """
    parts = (
        layers.read_file(Settings, config),
        layers.read_environment(Settings, os.environ),
        layers.read_overrides(Settings, overrides),
    )
    merged, origins = layers.merge(parts)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise layers.explain(Settings, error, origins) from None
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
