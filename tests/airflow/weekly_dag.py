"""Runs with the Python of Airflow: imports the DAG and runs it. Imports nothing of this project.

Requests come on standard input, a JSON object a line; answers go to standard output; Airflow's log
goes to standard error. Waits between tries are taken out: what is asked is whether there is a try.

    {"do": "facts", "last_run": time}    what the DAG says, and when the run after that one is
    {"do": "deadline", "at": time}       what a run that is queued like the scheduler's must keep
    {"do": "run", "variable": {...}, "logical_date": time or null, "conf": {}, "skipped": regex}
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

DAGS = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
DAG_ID = "impressions_weekly"


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.utils.db import initdb

    initdb()
    ask = {"facts": facts, "deadline": deadline, "run": run}
    for line in sys.stdin:
        request = json.loads(line)
        # Anew each time, as a worker does: a run by dag.test() leaves its conf in the DAG.
        bag = BundleDagBag(DAGS, bundle_path=DAGS, bundle_name="dags-folder")
        answer = ask[request.pop("do")](bag, **request)
        print(json.dumps(answer), file=answers)


def facts(bag: Any, last_run: str) -> dict[str, Any]:
    """The DAG as it was imported, its waits too."""
    if bag.import_errors or DAG_ID not in bag.dags:
        return {"import_errors": bag.import_errors, "dags": sorted(bag.dags)}
    dag = bag.dags[DAG_ID]
    return {
        "import_errors": bag.import_errors,
        "dags": sorted(bag.dags),
        "downstream": {t.task_id: sorted(t.downstream_task_ids) for t in dag.tasks},
        "retries": {t.task_id: t.retries for t in dag.tasks},
        "backoff": {t.task_id: t.retry_exponential_backoff for t in dag.tasks},
        "timeout_s": {t.task_id: _seconds(t.execution_timeout) for t in dag.tasks},
        "mapped": sorted(t.task_id for t in dag.tasks if t.get_closest_mapped_task_group()),
        "sensor_mode": dag.get_task("valid_through").mode,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "given_up_s": _seconds(dag.dagrun_timeout),
        "deadlines": [
            [d.reference.reference_name, _seconds(d.interval), d.callback.path]
            for d in (dag.deadline if isinstance(dag.deadline, list) else [dag.deadline])
        ],
        "next_run": _next_run(dag, datetime.fromisoformat(last_run)),
    }


def deadline(bag: Any, at: str) -> dict[str, Any]:
    """Puts a run into the database; the seconds from its queueing to each of its deadlines."""
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db
    from airflow.models.deadline import Deadline
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.sdk import timezone
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select

    with settings.Session() as session:
        DagBundlesManager().sync_bundles_to_db(session=session)
        session.commit()
        sync_bag_to_db(bag, "dags-folder", None)
        moment = timezone.coerce_datetime(datetime.fromisoformat(at))
        made = SerializedDagModel.get_dag(DAG_ID, session=session).create_dagrun(
            run_id="of-the-scheduler",
            logical_date=moment,
            data_interval=(moment, moment),
            run_after=moment,
            run_type=DagRunType.SCHEDULED,
            triggered_by=DagRunTriggeredByType.TIMETABLE,
            state=DagRunState.QUEUED,
            session=session,
        )
        session.flush()
        rows = session.scalars(select(Deadline).where(Deadline.dagrun_id == made.id)).all()
        left_s = [round(_seconds(row.deadline_time - made.queued_at) or 0) for row in rows]
        session.delete(made)
        session.commit()
    return {"left_s": left_s}


def run(
    bag: Any,
    variable: dict[str, Any],
    logical_date: str | None,
    conf: dict[str, Any] | None = None,
    skipped: str | None = None,
) -> dict[str, Any]:
    """One run to its end; tasks whose name matches `skipped` count as done without being run."""
    os.environ["AIRFLOW_VAR_IMPRESSIONS"] = json.dumps(variable)
    dag = bag.dags[DAG_ID]
    dag.deadline = None  # dag.test() of 3.3 ends a good run with an error where there is one
    for task in dag.tasks:
        _without_waits(task)
    ended = dag.test(
        logical_date=datetime.fromisoformat(logical_date) if logical_date else None,
        run_conf=conf,
        mark_success_pattern=skipped,
    )
    tasks = [[t.task_id, t.map_index, t.state, t.try_number] for t in ended.get_task_instances()]
    return {
        "state": ended.state,
        "tasks": tasks,
        "cutover": ended.get_task_instance("cutover").xcom_pull(task_ids="cutover"),
    }


def _without_waits(task: Any) -> None:
    task.retry_delay = task.max_retry_delay = timedelta(seconds=1)
    if hasattr(task, "poke_interval"):
        task.poke_interval = 1


def _next_run(dag: Any, last: datetime) -> str | None:
    """When the scheduler starts the run after one, if it was down until now."""
    from airflow.sdk import timezone
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction

    at = timezone.coerce_datetime(last)
    found = coerce_to_core_timetable(dag.timetable).next_dagrun_info(
        last_automated_data_interval=DataInterval(at, at),
        restriction=TimeRestriction(earliest=at, latest=None, catchup=dag.catchup),
    )
    return found and found.run_after.isoformat()


def _seconds(interval: timedelta | None) -> float | None:
    return None if interval is None else interval.total_seconds()


if __name__ == "__main__":
    main()
