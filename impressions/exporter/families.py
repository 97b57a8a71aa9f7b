"""What `status` found, as families of metrics. Pure; the names are those of docs/monitoring.md.

Nothing is asked here and nothing is judged twice: facts and verdicts are those of
impressions/status. What could not be asked has no metrics but `impressions_exporter_question_up` 0.
Ages are made when they are asked for, so that they grow although nothing new was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from impressions.settings.model import Settings
from impressions.status.facts import HostStatus, Lake
from impressions.status.jobs import Jobs
from impressions.status.questions import Unknown
from impressions.status.report import QUESTIONS, Status
from impressions.status.stage import Found, Stage
from impressions.status.stages_upkeep import failed, slow

Row = tuple[tuple[str, ...], float | None]
"""Values of the labels, and the value; None is left out."""


def families(
    status: Status, settings: Settings, events: Mapping[str, int], now_ms: int
) -> Iterator[Metric]:
    """Everything but what is not known."""
    found = status.found
    yield from _of_itself(status)
    yield from _of_stages(status.stages)
    if not isinstance(found.jobs, Unknown):
        yield from _of_jobs(found.jobs, found, settings, now_ms)
    if not isinstance(found.lake, Unknown):
        yield from _of_lake(found.lake, status, now_ms)
    yield from _of_topic(found)
    yield from _of_generations(status, now_ms)
    if not isinstance(found.disks, Unknown):
        disks = found.disks
        yield gauge("disk_free_bytes", "Free for what Impressions writes there.", ["place"],
                    (((d.place,), d.free_bytes) for d in disks))  # fmt: skip
        yield gauge("disk_free_share", "The same, as a share of the disk.", ["place"],
                    (((d.place,), d.free_share) for d in disks))  # fmt: skip
    if not isinstance(found.rotation, Unknown) and found.rotation.full_ms is not None:
        yield one("all_compared_age_seconds", "Every profile was compared since so long ago.",
                  _age_s(now_ms, found.rotation.full_ms))  # fmt: skip
    counted = CounterMetricFamily(
        "impressions_history_events", "Events in the history of runs, by kind.", labels=["kind"]
    )
    for kind, n in sorted(events.items()):
        counted.add_metric([kind], n)
    yield counted


def gauge(name: str, text: str, labels: list[str], rows: Iterable[Row]) -> Metric:
    """`impressions_<name>`; rows whose value is not known are left out."""
    family = GaugeMetricFamily(f"impressions_{name}", text, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(list(values), value)
    return family


def one(name: str, text: str, value: float | None) -> Metric:
    return gauge(name, text, [], [((), value)])


def _of_itself(status: Status) -> Iterator[Metric]:
    found = status.found
    yield one("exporter_look_timestamp_seconds", "When everything was asked.", found.at_ms / 1000)
    yield gauge("exporter_question_up", "Whether the last look had an answer.", ["question"],
                (((n,), float(_answered(getattr(found, n)))) for n in QUESTIONS))  # fmt: skip


def _answered(answer: object) -> bool:
    """That there is nothing is an answer too."""
    return answer.absent if isinstance(answer, Unknown) else True


def _of_stages(stages: Iterable[Stage]) -> Iterator[Metric]:
    yield gauge("stage_bad", "Whether `impressions status` calls the stage bad.", ["stage"],
                (((stage.name,), float(stage.state == "bad")) for stage in stages))  # fmt: skip


def _of_jobs(jobs: Jobs, found: Found, settings: Settings, now_ms: int) -> Iterator[Metric]:
    known = sorted(jobs.by_name.items())
    successes = {name: job.success for name, job in known}
    yield gauge("job_success_timestamp_seconds", "End of the last success.", ["job"],
                (((n,), None if run is None else run.ended_ms / 1000)
                 for n, run in successes.items()))  # fmt: skip
    yield gauge("job_success_age_seconds", "Since the end of the last success.", ["job"],
                (((n,), None if run is None else _age_s(now_ms, run.ended_ms))
                 for n, run in successes.items()))  # fmt: skip
    yield gauge("job_exit_code", "Of the last run; 0 is success.", ["job"],
                (((n,), job.last.exit_code) for n, job in known))  # fmt: skip
    wrong = {job.name for job in failed(jobs, found.at_ms, settings.alerts)}
    yield gauge("job_failed", "Whether the last run failed and waits for somebody.", ["job"],
                (((n,), float(n in wrong)) for n, _ in known))  # fmt: skip
    worked = {name: job.work for name, job in known if job.work is not None}
    yield gauge("job_seconds", "Duration of the last run that did something.", ["job"],
                (((n,), run.seconds) for n, run in worked.items()))  # fmt: skip
    yield gauge("job_usual_seconds", "Median duration of the 8 such runs before it.", ["job"],
                (((n,), job.usual_s) for n, job in known))  # fmt: skip
    late = {job.name for job in slow(jobs, settings.alerts)}
    yield gauge("job_slow", "Whether it took far longer than usual.", ["job"],
                (((n,), float(n in late)) for n, _ in known))  # fmt: skip
    yield gauge("job_count", "What that run counted: rows, files, profiles.", ["job", "what"],
                (((n, what), count) for n, run in worked.items()
                 for what, count in sorted(run.counts.items())))  # fmt: skip
    yield one("rejected_share", "Of the impressions read in a day of landing.",
              jobs.rejected_share)  # fmt: skip
    yield one("duplicate_share", "Of the rows of the last close.", jobs.duplicate_share)
    yield one("history_damaged_files", "Files of the history that hold no record.", jobs.damaged)
    since_ms = jobs.compared_ms or jobs.first_compact_ms
    yield one("compared_age_seconds", "Since answers were compared with raw.",
              _age_s(now_ms, since_ms))  # fmt: skip


def _of_lake(lake: Lake, status: Status, now_ms: int) -> Iterator[Metric]:
    facts = _facts(status)
    source = "topic" if lake.landed_offsets else "files"
    through_ms = lake.valid_through_ms
    yield gauge("raw_valid_through_timestamp_seconds", "How far raw is complete.", ["source"],
                [((source,), _s(through_ms))])  # fmt: skip
    yield gauge("raw_age_seconds", "Since then; below 0: it lies in the future.", ["source"],
                [((source,), _age_s(now_ms, through_ms))])  # fmt: skip
    closed_ms = facts["closed"].get("closed_through_ms")
    yield one("closed_through_timestamp_seconds", "Every slot before is closed.", _s(closed_ms))
    yield one("closed_age_seconds", "Since then.", _age_s(now_ms, closed_ms))
    for name, text in (
        ("rows", "Rows of raw."),
        ("records_to_land", "Records of the topic that are not landed."),
        ("records_lost", "Records that the topic forgot before they were landed."),
    ):
        yield one(f"raw_{name}", text, facts["landed"].get(name))
    said = lake.quality
    yield gauge(
        "quality_findings", "Findings about days of events that stand.", ["measure", "blocks"],
        () if said is None else (
            ((measure, str(blocks).lower()), n)
            for (measure, blocks), n in sorted(said.counts.items())
        ),
    )  # fmt: skip
    yield one("quality_through_seconds", "End of the newest day that was judged.",
              None if said is None else _s(said.through_ms))  # fmt: skip


def _of_topic(found: Found) -> Iterator[Metric]:
    room = found.headroom
    if isinstance(room, Unknown):
        return
    yield one("topic_headroom_seconds", "Until the topic forgets records that are not landed.",
              _s(room.least_ms))  # fmt: skip
    kept_ms = room.retention_ms if room.retention_ms >= 0 else None
    yield one("topic_retention_seconds", "How long the topic keeps records.", _s(kept_ms))


def _of_generations(status: Status, now_ms: int) -> Iterator[Metric]:
    newest_ms = _facts(status)["generations"].get("newest_cutover_ms")
    yield one("newest_generation_age_seconds", "Since the cutover of the newest generation.",
              _age_s(now_ms, newest_ms))  # fmt: skip
    host = status.found.host
    if isinstance(host, HostStatus):
        held = [g for g in host.generations if g.state == "loaded"]
        yield gauge(
            "host_generation_age_seconds", "Since the cutover of what this host has loaded.",
            ["generation", "active"],
            (((g.generation, str(g.active).lower()), _age_s(now_ms, g.cutover_ms)) for g in held),
        )  # fmt: skip


def _facts(status: Status) -> dict[str, dict[str, float | None]]:
    return {stage.name: stage.facts for stage in status.stages}


def _s(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _age_s(now_ms: int, then_ms: float | None) -> float | None:
    return None if then_ms is None else (now_ms - then_ms) / 1000
