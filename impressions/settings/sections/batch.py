"""The sections of the batch path: the catalog and its tables, the jobs that fill them, Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from impressions.core.spec import Spec
from impressions.settings.sections.section import Properties, Section

LEAST_RAW_DAYS = Spec().window_days + Spec().tail_days + 2
"""A host may answer from a generation that is as old as the tail is long; that one's window begins
a year before, on a day of ingest one earlier, whose duplicates may have their first copy the day
before that. Late events change nothing: the rule counts by the time of ingest."""


class Catalog(Section):
    """The Iceberg catalog, shared by Spark and pyiceberg."""

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


class Spark(Section):
    """How `compact --recompute` and `doctor --deep` start Spark, unless it was submitted."""

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


class Land(Section):
    """Kafka into raw."""

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


class Quality(Section):
    """When a day of events is not like the days before (docs/quality.md)."""

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


class Close(Section):
    """Slots into their closed form."""

    file_mb: int = Field(
        64,
        ge=1,
        description="MiB of a file of a closed slot, about; a smaller slot is one file, with "
        "another where it has rows of events that are weeks old",
    )


class Compact(Section):
    """Raw into a generation."""

    memory_mb: int = Field(
        2048,
        ge=64,
        description="MiB that compact may hold of rows, shared by the tasks of one process; "
        "a spark-submitted task may hold it alone",
    )


class Audits(Section):
    """Thresholds of the audits that a generation must pass before it is published."""

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


class Week(Section):
    """The weekly run."""

    day: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = (
        Field("sunday", description="day of the week, UTC, with whose start `week --latest` ends")
    )


class Housekeeping(Section):
    """What `impressions housekeeping` leaves in its place."""

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
