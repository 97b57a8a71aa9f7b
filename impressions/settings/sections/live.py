"""The sections of what runs all the time: the topics, the worker, a host and its server."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ByteSize, Field, model_validator

from impressions.settings.sections.section import MetricsListen, Properties, Section


class Kafka(Section):
    """The broker and the topics. Any Kafka; without an address, the local one of this project."""

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


class Stream(Section):
    """What the worker and every copy of its deltas agree on."""

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


class Speed(Section):
    """The streaming worker."""

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
    metrics_listen: MetricsListen = "127.0.0.1:0"


class Host(Section):
    """One machine that holds generations for serving."""

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


class Serving(Section):
    """The gRPC service."""

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
    metrics_listen: MetricsListen = "127.0.0.1:0"
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
