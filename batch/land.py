"""`impressions land`: brings impressions into raw, from the source topic or from files.

Without --from-files: the topic (batch/landing/). With it: a history (batch/importing/). A plain
process; spark-submitted, the same code in tasks of the cluster, one per partition of the topic or
per part of a file: for histories of terabytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from batch.importing import flags as files
from batch.jobs.tasks import runner_of_submission
from batch.landing import flags as topic
from batch.landing import loop
from batch.mapping import flags as columns
from impressions.clock import now_ms
from impressions.core.errors import UsageError
from impressions.core.slot import parse_logical_date
from impressions.process.command import DryRun, Json, run, verb
from impressions.settings.model import Settings, parse_shards
from impressions.terminal.report import start_run

if TYPE_CHECKING:
    from batch.landing.job import Landing
    from batch.mapping.grammar import ImportMapping


@verb(job="land")
def command(
    settings: Settings,
    once: topic.Once = False,
    every: topic.Every = None,
    until: topic.Until = None,
    partitions: topic.Partitions = None,
    accept_loss: topic.AcceptLoss = False,
    from_files: files.Files = None,
    more: files.More = None,
    map_: columns.Map = None,
    mapping: columns.MappingFile = None,
    ingest_time: columns.IngestTime = None,
    separator: columns.Separator = None,
    encoding: columns.Encoding = None,
    no_header: columns.NoHeader = False,
    timezone: columns.Timezone = None,
    location: columns.Location = None,
    valid_through: files.ValidThrough = None,
    yes: files.Yes = False,
    forget: files.Forget = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Bring impressions into the raw table: from Kafka, or a history from files.

    Either way a second run adds nothing, and a killed one is finished by the next. Rows that break
    the rule of validity go to impressions.rejected with the reason.

    \b
    Examples, from Kafka (kafka.topic):
      impressions land                      what is there now, then exit
      impressions land --every 1h           a round each hour; SIGTERM finishes it and exits 0
      impressions land --every 10s --until 2026-11-15    until raw is valid through that day's start
      impressions land --every 1h --partitions 0-31      one of several landers

    \b
    Examples, from files; read = applied + duplicate + rejected:
      impressions land --from-files events/*.parquet \\
        --map profile_id=user_id --map title_id=video_id --map event_time=time_ms:ms \\
        --map ingest_time=received_at:iso --map log_id=batch:hash --map dwell_s=play_ms:ms
      impressions land --forget events/2026-10.parquet   as if that file had never come

    \b
    Targets: profile_id title_id event_time (needed), ingest_time (or --ingest-time event),
    log_id location row position played dwell_s device_type app_version.
    Units: times s ms us ns iso timestamp strptime(...); ids int hash; dwell_s s ms us ns.

    One device flush: rows with the same profile, log_id and ingest time; a row that repeats another
    of them in every mapped column is the flush sent again. With --ingest-time event a row is
    identified by its log_id and its content. Without a log_id nothing is a duplicate. A log_id made
    of columns: --map 'log_id=hash(user_id,sent_at)'.
    """
    paths = [*(from_files or []), *(more or [])]
    of_kafka = {
        "--once": once, "--every": every, "--until": until, "--partitions": partitions,
        "--accept-loss": accept_loss,
    }  # fmt: skip
    of_files = {
        "--map": map_, "--mapping": mapping, "--ingest-time": ingest_time,
        "--separator": separator, "--encoding": encoding, "--no-header": no_header,
        "--timezone": timezone, "--location": location, "--valid-through": valid_through,
        "--yes": yes,
    }  # fmt: skip
    _check_flags(paths, from_files, more, forget, of_kafka, of_files)
    if forget:
        _forget(settings, forget, json, dry_run)
    elif paths:
        from batch.mapping.grammar import read_mapping

        named = read_mapping(
            map_ or [], mapping, ingest_time, separator=separator, encoding=encoding,
            header=False if no_header else None, timezone=timezone, locations=location or [],
        )  # fmt: skip
        _from_files(settings, paths, named, valid_through, yes, json, dry_run)
    else:
        _from_kafka(settings, once, every, until, partitions, accept_loss, json, dry_run)


def _check_flags(
    paths: list[str],
    from_files: list[str] | None,
    more: list[str] | None,
    forget: list[str] | None,
    of_kafka: Mapping[str, object],
    of_files: Mapping[str, object],
) -> None:
    """Raises UsageError for flags that do not go together."""
    if from_files is None and more:
        raise UsageError(f"{more[0]}: paths follow --from-files")
    if forget and paths:
        raise UsageError("--forget: not together with --from-files")
    others = {**of_kafka, **of_files} if forget else of_kafka if paths else of_files
    if foreign := [flag for flag, value in others.items() if value]:
        where = "the topic, not files" if paths else "files: --from-files PATH"
        if forget:
            where = "landing, not for --forget"
        raise UsageError(f"{', '.join(foreign)}: only for landing from {where}")


def _from_kafka(
    settings: Settings,
    once: bool,
    every: str | None,
    until: str | None,
    partitions: str | None,
    accept_loss: bool,
    json: bool,
    dry_run: bool,
) -> None:
    from batch.landing.job import Landing
    from impressions.kafka.client import bootstrap

    if every and (once or dry_run):
        raise UsageError("--every: not together with --once or --dry-run")
    every_s = loop.parse_every(every) if every else 0
    until_ms = parse_logical_date(until, settings.spec) if until else None
    chosen = _partitions(partitions, settings)
    bootstrap(settings)
    runner = runner_of_submission()
    arguments = {
        "every": every, "until": until, "partitions": partitions, "accept_loss": accept_loss,
        "dry_run": dry_run,
    }  # fmt: skip

    def one_round() -> int:
        this = start_run("land", arguments)
        job = Landing(settings, this, runner, now_ms, until_ms, accept_loss, chosen)
        return _round(job, json, dry_run)

    if every_s:
        loop.rounds(settings, one_round, every_s, until_ms)
    else:
        one_round()


def _round(job: Landing, json: bool, dry_run: bool) -> int:
    """One round and its report; returns how far raw is valid."""
    from batch.landing.outcome import outcome_of, summary
    from batch.landing.round import land, look

    done = look(job) if dry_run else land(job)
    report = job.run.report(outcome_of(done, dry_run=dry_run))
    report.emit(json=json, summary=summary(report, dry_run=dry_run))
    return done.through_ms


def _partitions(text: str | None, settings: Settings) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return parse_shards(text, settings.partitions)
    except ValueError as error:
        raise UsageError(f"--partitions {text}: {error}") from None


def _from_files(
    settings: Settings,
    paths: list[str],
    mapping: ImportMapping,
    valid_through: str | None,
    yes: bool,
    json: bool,
    dry_run: bool,
) -> None:
    from batch.importing.job import Import
    from batch.importing.outcome import summary
    from batch.importing.run import run_import

    through_ms = parse_logical_date(valid_through, settings.spec) if valid_through else None
    arguments = {
        "from_files": paths, "mapping": mapping.as_dict(), "valid_through": valid_through,
        "dry_run": dry_run,
    }  # fmt: skip
    this = start_run("import", arguments)
    job = Import(
        settings, this, runner_of_submission(), now_ms, paths, mapping, through_ms, dry_run,
        look_first=not yes,
    )  # fmt: skip
    report = job.run.report(run_import(job))
    report.emit(json=json, summary=summary(report, dry_run=dry_run))


def _forget(settings: Settings, names: list[str], json: bool, dry_run: bool) -> None:
    from batch.closing.reviewing import record_and_review
    from batch.importing.forget import Forgetting, forget, summary

    this = start_run("forget", {"forget": names, "dry_run": dry_run})
    job = Forgetting(settings, this, runner_of_submission(), now_ms, names, dry_run)
    outcome = forget(job)
    if outcome.changed:
        outcome = record_and_review(job, outcome, {})
    report = job.run.report(outcome)
    report.emit(json=json, summary=summary(report, dry_run=dry_run))


if __name__ == "__main__":
    run(command)
