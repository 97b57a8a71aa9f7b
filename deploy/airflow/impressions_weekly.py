"""The weekly run of Impressions as an Airflow DAG: one task per command, and per host one group.

    cutover -> land -> valid_through -> close -> quality -> compact -> export
            -> hosts -> for each host: load -> check -> activate -> gc

The schedule says when a run starts; the cutover is the start of the newest ingest slot that raw can
be valid through at that time (data_interval_end): with the default slots, 00:00 UTC of that day. So
a run at Sunday 02:30 computes the year before Sunday 00:00. A run by hand may name another one:

    airflow dags trigger impressions_weekly --conf '{"cutover": "2026-11-15"}'

A generation holds a whole year, so a missed week needs no run of its own: the next run makes it up,
and there is no catch-up. Hosts do not wait for each other: one that is down keeps its generation,
its group fails, and all others get the new one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import impressions_tasks
from airflow.sdk import (
    DAG,
    CronTriggerTimetable,
    DeadlineAlert,
    DeadlineReference,
    Param,
    SyncCallback,
    chain,
    task,
    task_group,
)
from impressions_tasks import (
    CutoverOperator,
    ImpressionsOperator,
    LandOperator,
    ValidThroughSensor,
    places,
)

SCHEDULE = "30 2 * * 0"  # Sunday 02:30 UTC
DEADLINE = timedelta(hours=12)
"""From the start of a run until `late` is called; the run goes on."""
GIVEN_UP = timedelta(days=2)
"""From the start of a run until it is failed and stopped."""

CUTOVER = "{{ ti.xcom_pull(task_ids='cutover') }}"
GENERATION = "{{ ti.xcom_pull(task_ids='export') }}"

RETRIES = {
    "retries": 8,
    "retry_delay": timedelta(minutes=2),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(hours=1),
    "execution_timeout": timedelta(hours=8),
}


@task
def hosts() -> list[list[str]]:
    """The words before the verb, for each serving host."""
    return list(places()["hosts"].values())


@task_group(group_id="host")
def on_host(command: Any) -> None:
    """Load, compare, activate, clean up: on one host. `check` changes nothing: it compares
    answers as activate does, so that a host that would refuse is seen by name."""
    bulkload = {
        "load": ["load", GENERATION],
        "check": ["activate", GENERATION, "--dry-run"],
        "activate": ["activate", GENERATION],
        "gc": ["gc"],
    }
    chain(
        *(
            ImpressionsOperator(task_id=name, arguments=["bulkload", *arguments], command=command)
            for name, arguments in bulkload.items()
        )
    )


with DAG(
    dag_id="impressions_weekly",
    description="land, close, quality, compact, export; load and activate on every host",
    schedule=CronTriggerTimetable(SCHEDULE, timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=GIVEN_UP,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=DEADLINE,
        callback=SyncCallback(impressions_tasks.late),
    ),
    params={"cutover": Param(None, type=["null", "string"], description="UTC date or slot start")},
    default_args=RETRIES,
    tags=["impressions"],
    doc_md=__doc__,
) as dag:
    chain(
        CutoverOperator(task_id="cutover"),
        LandOperator(task_id="land", cutover=CUTOVER),
        ValidThroughSensor(
            task_id="valid_through",
            cutover=CUTOVER,
            mode="reschedule",
            poke_interval=60,
            timeout=DEADLINE.total_seconds(),
            execution_timeout=timedelta(minutes=5),
        ),
        ImpressionsOperator(task_id="close", arguments=["close"]),
        ImpressionsOperator(task_id="quality", arguments=["quality"]),
        ImpressionsOperator(task_id="compact", arguments=["compact", "--logical-date", CUTOVER]),
        ImpressionsOperator(
            task_id="export",
            arguments=["export", "--logical-date", CUTOVER],
            returned="generation",
        ),
        served := hosts(),
        on_host.expand(command=served),
    )
