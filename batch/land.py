"""`impressions land`: brings impressions into raw, from the source topic or from files.

Without --from-files: the topic (batch/landing/). With it: a history (batch/importing/). A plain
process; spark-submitted, the same code in tasks of the cluster, one per partition of the topic or
per part of a file: for histories of terabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from batch.mapping import flags
from impressions.core.errors import UsageError
from impressions.process.command import DryRun, Json, run, verb
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from batch.mapping.grammar import ImportMapping
    from impressions.terminal.report import RunReport

_Once = Annotated[bool, typer.Option("--once", help="One round, then exit; so by default.")]
_Every = Annotated[
    str | None,
    typer.Option("--every", metavar="1h", help="A round every 30s, 15m, 1h ... until SIGTERM."),
]
_Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="DATE",
        help="Leave what is ingested from then on; with --every: end once raw is valid through it.",
    ),
]
_Partitions = Annotated[
    str | None,
    typer.Option(
        "--partitions", metavar="0-3,7", help="Only these; other landers land the others."
    ),
]
_AcceptLoss = Annotated[
    bool,
    typer.Option(
        "--accept-loss",
        help="Records that the topic no longer holds, or that bear their producer's time, and rows "
        "that were deleted, are given up: "
        "they will be in no aggregate. The commit says which.",
    ),
]
_Files = Annotated[
    list[str] | None,
    typer.Option(
        "--from-files",
        metavar="PATH",
        help="Parquet, CSV, TSV or JSON lines: file, directory or glob; repeatable.",
    ),
]
_More = Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Further paths.")]
_ValidThrough = Annotated[
    str | None,
    typer.Option(
        "--valid-through",
        metavar="DATE",
        help="Everything ingested before this is in now (exclusive).",
        show_default="the slot after the newest row",
    ),
]
_Yes = Annotated[
    bool, typer.Option("--yes", help="Import although most of a file's first rows are rejected.")
]
_Forget = Annotated[
    list[str] | None,
    typer.Option(
        "--forget",
        metavar="FILE|SOURCE",
        help="Undo an import: its rows and rejected rows go, duplicates are decided again.",
    ),
]


@verb
def command(
    settings: Settings,
    once: _Once = False,
    every: _Every = None,
    until: _Until = None,
    partitions: _Partitions = None,
    accept_loss: _AcceptLoss = False,
    from_files: _Files = None,
    more: _More = None,
    map_: flags.Map = None,
    mapping: flags.MappingFile = None,
    ingest_time: flags.IngestTime = None,
    separator: flags.Separator = None,
    encoding: flags.Encoding = None,
    no_header: flags.NoHeader = False,
    timezone: flags.Timezone = None,
    location: flags.Location = None,
    valid_through: _ValidThrough = None,
    yes: _Yes = False,
    forget: _Forget = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Bring impressions into the raw table: from Kafka, or a history from files.

    Either way a second run adds nothing, and a killed one is finished by the next. Rows that break
    the rule of validity go to impressions.rejected with the reason.

    \b
    From Kafka (kafka.topic):
      impressions land                      what is there now, then exit
      impressions land --every 1h           for ever; SIGTERM finishes the round and exits 0
      impressions land --every 10s --until 2026-11-15    until raw is valid through that day's start
      impressions land --every 1h --partitions 0-31      one of several landers

    \b
    From files; read = applied + duplicate + rejected:
      impressions land --from-files events/*.parquet \\
        --map profile_id=user_id --map title_id=video_id --map event_time=time_ms:ms \\
        --map ingest_time=received_at:iso --map log_id=batch:hash --map dwell_s=play_ms:ms
      impressions land --forget events/2026-10.parquet   as if that file had never come

    \b
    Targets: profile_id title_id event_time (needed), ingest_time (or --ingest-time event),
    log_id location row position played dwell_s device_type app_version.
    Units: times s ms us ns iso timestamp strptime(...); ids int hash; dwell_s s ms us ns.

    One log: rows with the same profile, log_id and ingest time; a row that repeats another of them
    in every mapped column is the log sent again. With --ingest-time event a row is identified by
    its log_id and its content. Without a log_id nothing is a duplicate. A log made of columns:
    --map 'log_id=hash(user_id,sent_at)'.
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

        columns = read_mapping(
            map_ or [], mapping, ingest_time, separator=separator, encoding=encoding,
            header=False if no_header else None, timezone=timezone, locations=location or [],
        )  # fmt: skip
        _from_files(settings, paths, columns, valid_through, yes, json, dry_run)
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
    from batch.jobs.tasks import runner_of_submission
    from batch.landing import loop
    from batch.landing.job import Landing
    from batch.landing.round import land, look
    from impressions.clock import now_ms
    from impressions.core.slot import parse_logical_date
    from impressions.kafka.client import bootstrap
    from impressions.terminal.report import start_report

    if every and (once or dry_run):
        raise UsageError("--every: not together with --once or --dry-run")
    every_s = loop.parse_every(every) if every else 0
    until_ms = parse_logical_date(until, settings.spec) if until else None
    chosen = _partitions(partitions, settings)
    bootstrap(settings)
    runner = runner_of_submission()

    def one_round() -> int:
        arguments = {
            "until": until, "partitions": partitions, "accept_loss": accept_loss,
            "dry_run": dry_run,
        }  # fmt: skip
        report = start_report("land", {"every": every, **arguments})
        job = Landing(settings, now_ms, report, runner, until_ms, accept_loss, chosen)
        through_ms = look(job) if dry_run else land(job)
        report.emit(json=json, summary=_kafka_summary(report, dry_run))
        return through_ms

    if every_s:
        _rounds(settings, one_round, every_s, until_ms)
    else:
        one_round()


def _partitions(text: str | None, settings: Settings) -> tuple[int, ...] | None:
    from impressions.settings.model import parse_shards

    if text is None:
        return None
    try:
        return parse_shards(text, settings.partitions)
    except ValueError as error:
        raise UsageError(f"--partitions {text}: {error}") from None


def _rounds(
    settings: Settings, one_round: Callable[[], int], every_s: int, until_ms: int | None
) -> None:
    from batch.landing import loop
    from impressions.process.running import registered
    from impressions.terminal import log

    log.configure(process="land")
    with registered(settings, "land"), loop.stopped_by_sigterm() as stop:
        loop.repeat(one_round, every_s, until_ms, stop)


def _kafka_summary(report: RunReport, dry_run: bool) -> str:
    counts = report.finish().counts
    where = f"valid through {report.extra['valid_through'] or 'nowhere yet'}"
    if dry_run:
        return f"would land {counts['records']:,} records of {report.extra['topic']}; now {where}"
    if not counts["records"]:
        return f"nothing new in {report.extra['topic']}; {where}"
    return (
        f"landed {counts['records']:,} records in {report.seconds:.1f} s: read {counts['read']:,} "
        f"= landed {counts['landed']:,} + rejected {counts['rejected']:,}; "
        f"{counts['lag']:,} left; {where}"
    )


def _from_files(
    settings: Settings,
    paths: list[str],
    columns: ImportMapping,
    valid_through: str | None,
    yes: bool,
    json: bool,
    dry_run: bool,
) -> None:
    from batch.importing.job import Import
    from batch.importing.run import run_import
    from batch.jobs.tasks import runner_of_submission
    from impressions.clock import now_ms
    from impressions.core.slot import parse_logical_date
    from impressions.terminal.report import start_report

    until_ms = parse_logical_date(valid_through, settings.spec) if valid_through else None
    report = start_report(
        "land",
        {
            "from_files": paths,
            "mapping": columns.as_dict(),
            "valid_through": valid_through,
            "dry_run": dry_run,
        },
    )
    runner = runner_of_submission()
    run_import(Import(settings, paths, columns, until_ms, dry_run, report, runner, now_ms, not yes))
    report.emit(json=json, summary=_files_summary(report, dry_run))


def _files_summary(report: RunReport, dry_run: bool) -> str:
    counts = report.finish().counts
    verb = "would import" if dry_run else "imported" if report.changed else "imported nothing from"
    return (
        f"{verb} {counts['files_new']:,} of {counts['files']:,} files in {report.seconds:.1f} s: "
        f"read {counts['read']:,} = applied {counts['applied']:,} + duplicate "
        f"{counts['duplicate']:,} + rejected {counts['rejected']:,}"
    )


def _forget(settings: Settings, names: list[str], json: bool, dry_run: bool) -> None:
    from batch.importing.forget import Forgetting, forget
    from batch.jobs.tasks import runner_of_submission
    from impressions.terminal.report import start_report

    report = start_report("forget", {"forget": names, "dry_run": dry_run})
    forget(Forgetting(settings, names, report, runner_of_submission(), dry_run))
    counts = report.finish().counts
    verb = "would take out" if dry_run else "took out"
    report.emit(
        json=json,
        summary=f"{verb} {counts['rows']:,} rows of {counts['slots']:,} slots and "
        f"{counts['rejected']:,} rejected rows in {report.seconds:.1f} s",
    )


if __name__ == "__main__":
    run(command)
