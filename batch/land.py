"""`impressions land`: brings impressions into raw, from the source topic or from files.

Without --from-files: the topic (batch/landing.py). With it: a history (batch/importing.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batch.mapping_flags import IngestTime, Map, MappingFile
from impressions.errors import UsageError
from impressions.shell.command import DryRun, Json, run, verb
from impressions.shell.settings import Settings

if TYPE_CHECKING:
    from batch.report import RunReport

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
_AcceptLoss = Annotated[
    bool,
    typer.Option("--accept-loss", help="Go on behind records or rows that are gone; note it."),
]
_Files = Annotated[
    list[str] | None,
    typer.Option(
        "--from-files", metavar="PATH", help="Parquet or CSV: file, directory or glob; repeatable."
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


@verb
def command(
    settings: Settings,
    once: _Once = False,
    every: _Every = None,
    until: _Until = None,
    accept_loss: _AcceptLoss = False,
    from_files: _Files = None,
    more: _More = None,
    map_: Map = None,
    mapping: MappingFile = None,
    ingest_time: IngestTime = None,
    valid_through: _ValidThrough = None,
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

    \b
    From files; read = applied + duplicate + rejected:
      impressions land --from-files events/*.parquet \\
        --map profile_id=user_id --map title_id=video_id --map event_time=time_ms:ms \\
        --map ingest_time=received_at:iso --map log_id=batch:hash --map dwell_s=play_ms:ms

    \b
    Targets: profile_id title_id event_time (needed), ingest_time (or --ingest-time event),
    log_id location row position played dwell_s device_type app_version.
    Units: times s ms us ns iso timestamp; ids int hash; dwell_s s ms us ns.

    One log: rows with the same profile, log_id and ingest time; a row that repeats another of them
    in every mapped column is the log sent again. With --ingest-time event a row is identified by
    its log_id and its content. Without a log_id nothing is a duplicate. A log made of columns:
    --map 'log_id=hash(user_id,sent_at)'.
    """
    paths = [*(from_files or []), *(more or [])]
    of_kafka = {"--once": once, "--every": every, "--until": until, "--accept-loss": accept_loss}
    of_files = {
        "--map": map_, "--mapping": mapping, "--ingest-time": ingest_time,
        "--valid-through": valid_through,
    }  # fmt: skip
    if from_files is None and more:
        raise UsageError(f"{more[0]}: paths follow --from-files")
    foreign = [flag for flag, value in (of_kafka if paths else of_files).items() if value]
    if foreign:
        where = "the topic, not files" if paths else "files: --from-files PATH"
        raise UsageError(f"{', '.join(foreign)}: only for landing from {where}")
    if paths:
        chosen = (map_ or [], mapping, ingest_time, valid_through)
        _from_files(settings, paths, chosen, json, dry_run)
    else:
        _from_kafka(settings, once, every, until, accept_loss, json, dry_run)


def _from_kafka(
    settings: Settings,
    once: bool,
    every: str | None,
    until: str | None,
    accept_loss: bool,
    json: bool,
    dry_run: bool,
) -> None:
    from batch import land_loop
    from batch.land_job import Landing
    from batch.landing import land, look
    from batch.report import start_report
    from batch.session import using_spark
    from impressions.clock import now_ms
    from impressions.kafka.client import bootstrap
    from impressions.slot import parse_logical_date

    if every and (once or dry_run):
        raise UsageError("--every: not together with --once or --dry-run")
    every_s = land_loop.parse_every(every) if every else 0
    until_ms = parse_logical_date(until, settings.spec) if until else None
    bootstrap(settings)  # no broker is said before Spark starts

    def one_round() -> int:
        arguments = {"until": until, "accept_loss": accept_loss, "dry_run": dry_run}
        report = start_report("land", {"every": every, **arguments})
        job = Landing(spark, settings, now_ms, report, until_ms, accept_loss)
        through_ms = look(job) if dry_run else land(job)
        report.emit(json=json, summary=_kafka_summary(report, dry_run))
        return through_ms

    with using_spark(settings, "land") as spark:
        if every_s:
            _rounds(settings, one_round, every_s, until_ms)
        else:
            one_round()


def _rounds(
    settings: Settings, one_round: Callable[[], int], every_s: int, until_ms: int | None
) -> None:
    from batch import land_loop
    from impressions.shell import log
    from impressions.shell.running import registered

    log.configure(process="land")
    with registered(settings, "land"), land_loop.stopped_by_sigterm() as stop:
        land_loop.repeat(one_round, every_s, until_ms, stop)


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
    chosen: tuple[list[str], Path | None, str | None, str | None],
    json: bool,
    dry_run: bool,
) -> None:
    from batch.import_job import Import
    from batch.importing import run_import
    from batch.mapping import read_mapping
    from batch.report import start_report
    from batch.session import using_spark
    from batch.sources import find_files
    from impressions.slot import parse_logical_date

    pairs, mapping, ingest_time, valid_through = chosen
    columns = read_mapping(pairs, mapping, ingest_time)
    find_files(paths)  # a path that is not there is said before Spark starts
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
    with using_spark(settings, "land") as spark:
        run_import(Import(spark, settings, paths, columns, until_ms, dry_run, report))
    report.emit(json=json, summary=_summary(report, dry_run))


def _summary(report: RunReport, dry_run: bool) -> str:
    counts = report.finish().counts
    verb = "would import" if dry_run else "imported" if report.changed else "imported nothing from"
    return (
        f"{verb} {counts['files_new']:,} of {counts['files']:,} files in {report.seconds:.1f} s: "
        f"read {counts['read']:,} = applied {counts['applied']:,} + duplicate "
        f"{counts['duplicate']:,} + rejected {counts['rejected']:,}"
    )


if __name__ == "__main__":
    run(command)
