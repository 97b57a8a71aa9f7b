"""The sections of the settings: one frozen model for each part, with default, unit and meaning.

`Settings` (impressions/settings/model.py) puts them together and reads them; here is only what may
stand in `[catalog]`, `[kafka]`, `[serving]` and so on, and what makes a section whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, model_validator

from impressions.core.spec import Spec
from impressions.settings import sources

LEAST_RAW_DAYS = Spec().window_days + Spec().tail_days + 2
"""A host may answer from a generation that is as old as the tail is long; that one's window begins
a year before, on a day of ingest one earlier, whose duplicates may have their first copy the day
before that. Late events change nothing: the rule counts by the time of ingest."""

_FROZEN = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _flat_strings(value: Any) -> Any:
    """TOML reads `a.b = 1` as nested tables; engines want the flat string key `a.b`."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: str(v).lower() if isinstance(v, bool) else str(v)
        for key, v in sources.flatten(value).items()
    }


Properties = Annotated[dict[str, str], BeforeValidator(_flat_strings)]


class Catalog(BaseModel):
    """The Iceberg catalog, shared by Spark and pyiceberg."""

    model_config = _FROZEN

    name: str = Field(
        "lake",
        min_length=1,
        description="name of the catalog in both engines; first part of a table name",
    )
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
        {},
        description="further properties of pyiceberg's catalog; all jobs open tables with them",
    )


class Spark(BaseModel):
    """How `compact --recompute` and `doctor --deep` start Spark, unless it was submitted."""

    model_config = _FROZEN

    master: str = Field("local[*]", description="Spark master")
    driver_memory: str = Field(
        "4g", pattern=r"^\d+[kmgt]b?$", description="JVM heap of the driver, such as 4g"
    )
    conf: Properties = Field({}, description="further Spark properties; they win over ours")
    event_log_uri: str | None = Field(
        None,
        description="directory of Spark's event logs, which must exist in an object store; "
        '"off" writes none; default: logs/spark-events in home',
    )
    event_logs: int = Field(
        50, ge=1, description="event logs kept on a local disk, the newest ones; one for each job"
    )
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


class Quality(BaseModel):
    """When a day of events is not like the days before (docs/quality.md)."""

    model_config = _FROZEN

    min_impressions: int = Field(
        500, ge=1, description="rows of a day; segments with fewer are pooled, days not judged"
    )
    weeks: int = Field(
        8, ge=1, le=26, description="weeks before, whose same weekday says what is expected"
    )
    sigmas: float = Field(
        5.0, gt=0, description="a deviation is also so many times the usual spread, and the noise"
    )
    volume_min_ratio: float = Field(
        0.65, gt=0, lt=1, description="impressions, less than so many times what is expected"
    )
    volume_max_ratio: float = Field(
        2.5, gt=1, description="impressions, more than so many times what is expected"
    )
    per_profile_ratio: float = Field(
        1.5, gt=1, description="impressions per profile, so many times more or less"
    )
    plays_ratio: float = Field(
        1.3, gt=1, description="plays per impression, so many times more or less"
    )
    expect_plays: bool = Field(
        True, description="a day without plays is a finding; false where plays are not recorded"
    )
    dwell_ratio: float = Field(2.0, gt=1, description="median dwell, so many times more or less")
    dwell_p99_ratio: float = Field(
        4.0, gt=1, description="dwell that 1 % exceed, so many times more or less"
    )
    dwell_max_median_s: float = Field(
        1800, gt=0, description="seconds; without history, a median dwell above is a wrong unit"
    )
    share_change: float = Field(
        0.1,
        gt=0,
        description="change of a share: repeated, clamped, late, duplicates, dwell of 0",
    )
    location_change: float = Field(
        0.2, gt=0, description="rise of the largest location's share of impressions"
    )
    rejected_change: float = Field(
        0.03, gt=0, description="rise of the share of rejected rows; without history ten times"
    )
    hours_moved: float = Field(
        0.2, gt=0, lt=1, description="share of impressions in other hours than usual"
    )
    largest_profile_share: float = Field(
        0.05, gt=0, lt=1, description="impressions of one profile, as a share of all"
    )
    new_titles_change: float = Field(
        0.5, gt=0, description="rise of the share of titles that no day of the 4 weeks before had"
    )
    drift_weeks: int = Field(
        10, ge=4, le=52, description="weeks in one direction that are called a drift"
    )
    drift_ratio: float = Field(
        0.012, gt=0, description="change a week, on the median, that is called a drift"
    )


class Housekeeping(BaseModel):
    """What `impressions housekeeping` leaves in its place."""

    model_config = _FROZEN

    keep_snapshots_days: float = Field(
        14, ge=1, description="days that a table's former states can be read by time or id"
    )
    keep_generations: int = Field(
        8, ge=2, description="newest generations that stay in the table, with their sources"
    )
    keep_published: int = Field(
        4, ge=2, description="newest exported generations that stay in generations_uri"
    )
    keep_raw_days: int = Field(
        400,
        ge=LEAST_RAW_DAYS,
        description="days of events that stay in raw, and of rejected rows; more where a "
        "generation that stays needs them",
    )
    orphan_days: float = Field(
        7, ge=1, description="days after which a file that nothing names is of a dead attempt"
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
    clock_topic: str = Field(
        "impressions-clock",
        min_length=1,
        description="topic of one partition; stamps of its records tell the broker's time",
    )
    replication_factor: int = Field(
        1,
        ge=1,
        description="copies of topics that are created; 3 in production",
    )
    retention_days: int = Field(
        7,
        ge=1,
        description="days the source topic keeps records; land and workers must read them in time",
    )
    properties: Properties = Field(
        {}, description="librdkafka properties: security.protocol, sasl.*, ssl.*, passed through"
    )


class Stream(BaseModel):
    """What the worker and every copy of its deltas agree on."""

    model_config = _FROZEN

    epoch: int = Field(
        1,
        ge=1,
        lt=1 << 32,
        description="incarnation of the source topic; one higher when it is made again; land and "
        "workers alike",
    )
    keep_days: int = Field(
        28,
        ge=1,
        description="days of deltas kept; oldest generation to roll back to; the same everywhere",
    )


class Land(BaseModel):
    """Kafka into raw."""

    model_config = _FROZEN

    clock_margin_s: float = Field(
        60,
        ge=0,
        description="seconds the lander's clock may be ahead; raw is valid through so much less",
    )
    max_records: int = Field(
        2_000_000, ge=1, description="Kafka records per commit and partition, at most"
    )
    memory_mb: int = Field(
        2048,
        ge=64,
        description="MiB that landing, importing and closing may hold of rows; more goes in pieces",
    )


class Compact(BaseModel):
    """Raw into a generation."""

    model_config = _FROZEN

    memory_mb: int = Field(
        2048,
        ge=64,
        description="MiB that compact may hold of rows, shared by the tasks of one process; "
        "a spark-submitted task may hold it alone",
    )


class Speed(BaseModel):
    """The streaming worker."""

    model_config = _FROZEN

    group: str = Field("impressions-speed", min_length=1, description="consumer group of workers")
    state_dir: Path | None = Field(
        None,
        description="directory of this machine's workers, derived data; default: <home>/speed",
    )
    batch_records: int = Field(10_000, ge=1, description="Kafka records applied at once, at most")
    within_s: float = Field(0.01, gt=0, description="seconds from one flush to the next, at least")
    heartbeat_s: float = Field(
        0.25, gt=0, description="seconds between heartbeats of partitions without traffic"
    )
    clock_margin_s: float = Field(
        2,
        ge=0,
        description="seconds the worker's clock may be ahead of the broker's",
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


class Week(BaseModel):
    """The weekly run."""

    model_config = _FROZEN

    day: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = (
        Field("sunday", description="day of the week, UTC, with whose start `week --latest` ends")
    )


class Host(BaseModel):
    """One machine that holds generations for serving."""

    model_config = _FROZEN

    data_dir: Path | None = Field(
        None,
        description="directory of this host's RocksDB generations and its copy of the deltas; "
        "default: <home>/host",
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
    check_every_h: float = Field(
        24,
        gt=0,
        description="hours after which `bulkload sync` reads every byte of a loaded generation "
        "again; in between it looks at sizes and opens them",
    )
    seam_random: int = Field(
        8, ge=0, description="random profiles of each shard that activate compares; 0 = none"
    )
    seam_active: int = Field(
        8, ge=0, description="and profiles with the most rows of those it looked at; 0 = none"
    )
    seam_max_s: float = Field(
        2, gt=0, description="seconds that comparing takes at most; then fewer are compared"
    )


class Reconcile(BaseModel):
    """The service that compares raw with answers."""

    model_config = _FROZEN

    metrics_listen: str = Field(
        "127.0.0.1:0", pattern=r"^.+:\d{1,5}$", description="host:port of /metrics; 0 = any free"
    )


class Console(BaseModel):
    """The web page."""

    model_config = _FROZEN

    listen: str = Field(
        "127.0.0.1:8470", pattern=r"^.+:\d{1,5}$", description="host:port; port 0 = any free one"
    )
    environment: str | None = Field(
        None,
        min_length=1,
        max_length=60,
        description="name at the head of every page, red where it begins with prod; "
        "default: host name and home",
    )
    beyond_loopback: bool = Field(
        False,
        description="whether listen may be an address that other machines reach: there is no login",
    )
    host_names: str = Field(
        "",
        description="names by which browsers call it, beside listen and loopback: a.lan,b.lan:80",
    )
    servers: str = Field(
        "",
        description="servers of other hosts to show and to ask, beside those of this home: "
        "a:50051,b:50051",
    )
    fresh_s: float = Field(
        5, gt=0, description="seconds an answer is shown before it is asked anew"
    )
    wait_s: float = Field(
        5, gt=0, description="seconds a page waits for its parts; one that is late says so"
    )


class History(BaseModel):
    """What every job did, kept beyond it (impressions/history)."""

    model_config = _FROZEN

    uri: str | None = Field(
        None,
        description="where every job records its runs: a path, or s3://... for several hosts; "
        "default: <home>/history",
    )
    runs: int = Field(400, ge=20, description="runs kept of each job")


class Alerts(BaseModel):
    """From when on `status` is bad. The alerts of deploy/prometheus hold the same numbers."""

    model_config = _FROZEN

    landed_age_h: float = Field(
        3, gt=0, description="hours since raw's valid-through, where the topic is landed"
    )
    headroom_days: float = Field(
        3, gt=0, description="days until the topic forgets records that are not landed"
    )
    generation_age_days: float = Field(
        8, gt=0, description="days since the newest generation's cutover: a week, and a day to run"
    )
    host_generation_age_days: float = Field(
        14, gt=0, description="days since the cutover of what a host answers from"
    )
    slow_ratio: float = Field(
        2, gt=1, description="duration of a run, so many times the median of the 8 before"
    )
    slow_by_s: float = Field(60, ge=0, description="seconds that a slow run is slower at least")
    disk_free_share: float = Field(
        0.05, ge=0, lt=1, description="free share of a disk that Impressions writes to"
    )
    reconciled_age_h: float = Field(
        24, gt=0, description="hours since answers were last compared with raw"
    )


class Exporter(BaseModel):
    """The service that shows jobs, tables and hosts as metrics."""

    model_config = _FROZEN

    metrics_listen: str = Field(
        "127.0.0.1:0", pattern=r"^.+:\d{1,5}$", description="host:port of /metrics; 0 = any free"
    )
    every_s: float = Field(60, gt=0, description="seconds between looks at everything")


class Serving(BaseModel):
    """The gRPC service."""

    model_config = _FROZEN

    listen: str = Field(
        "127.0.0.1:50051",
        pattern=r"^.+:\d{1,5}$",
        description="host:port; 0.0.0.0:50051 lets other hosts call; port 0 = any free one",
    )
    workers: int = Field(1, ge=1, le=256, description="processes that share the port")
    threads: int = Field(8, ge=1, le=1024, description="request threads per worker")
    compiled: bool = Field(
        True,
        description="reads compiled at the first start (30 s); false = numpy, many times slower",
    )
    front: Literal["loop", "grpc"] = Field(
        "loop",
        description="who takes the calls of single reads and batches: one thread, or grpcio's own "
        "handlers, slower",
    )
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
    max_answer_bytes: ByteSize = Field(
        ByteSize(64 << 20),
        ge=1024,
        lt=1 << 31,
        description="bytes of the answer to one call; a larger one is refused",
    )
    max_connections: int = Field(
        10_000,
        ge=1,
        description="connections per worker, in at most half of its file descriptors",
    )
    max_idle_s: float = Field(
        300, gt=0, description="seconds until a connection without a call is closed"
    )
    grace_s: float = Field(10, ge=0, description="seconds for running requests after SIGTERM")
    deltas: Literal["auto", "on", "off"] = Field(
        "auto",
        description="merge the live stream; auto: if a broker is configured or the local one runs",
    )
    max_stream_lag_s: float = Field(
        15, gt=0, description="seconds the stream may be behind before answers say so"
    )
    catch_up_s: float = Field(
        0.25,
        gt=0,
        description="seconds between looks at the shared copy of the deltas, unless told sooner",
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
