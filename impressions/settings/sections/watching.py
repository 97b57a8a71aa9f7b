"""The sections of what looks at the others: history, alerts, exporter, console, reconciliation."""

from __future__ import annotations

from pydantic import Field

from impressions.settings.sections.section import MetricsListen, Section


class History(Section):
    """What every job did, kept beyond it (impressions/history)."""

    uri: str | None = Field(
        None,
        description="where every job records its runs: a path, or s3://... for several hosts; "
        "default: <home>/history",
    )
    runs: int = Field(400, ge=20, description="runs kept of each job")


class Alerts(Section):
    """From when on `status` is bad. The alerts of deploy/prometheus hold the same numbers."""

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


class Exporter(Section):
    """The service that shows jobs, tables and hosts as metrics."""

    metrics_listen: MetricsListen = "127.0.0.1:0"
    every_s: float = Field(60, gt=0, description="seconds between looks at everything")


class Console(Section):
    """The web page."""

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


class Reconcile(Section):
    """The service that compares raw with answers."""

    metrics_listen: MetricsListen = "127.0.0.1:0"
