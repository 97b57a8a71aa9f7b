"""`impressions land`: brings impressions into raw. Here: history from Parquet or CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impressions.shell.command import DryRun, Json, run, verb
from impressions.shell.settings import Settings

if TYPE_CHECKING:
    from batch.report import RunReport

_Files = Annotated[
    list[str],
    typer.Option(
        "--from-files", metavar="PATH", help="Parquet or CSV: file, directory or glob; repeatable."
    ),
]
_More = Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Further paths.")]
_Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="TARGET=COLUMN[:UNIT]", help="One column; repeatable."),
]
_MappingFile = Annotated[
    Path | None, typer.Option("--mapping", metavar="FILE.toml", help="The mapping as a file.")
]
_IngestTime = Annotated[
    str | None,
    typer.Option("--ingest-time", metavar="event", help="The files have none: use event time."),
]
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
    from_files: _Files,
    more: _More = None,
    map_: _Map = None,
    mapping: _MappingFile = None,
    ingest_time: _IngestTime = None,
    valid_through: _ValidThrough = None,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Import a history of impressions from files.

    Running the same import again adds nothing. Rows that break the rule of validity go to
    impressions.rejected with the reason; read = applied + duplicate + rejected.

    \b
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
    from batch.import_job import Import
    from batch.importing import run_import
    from batch.mapping import read_mapping
    from batch.report import start_report
    from batch.session import using_spark
    from batch.sources import find_files
    from impressions.slot import parse_logical_date

    paths = [*from_files, *(more or [])]
    chosen = read_mapping(map_ or [], mapping, ingest_time)
    find_files(paths)  # a path that is not there is said before Spark starts
    until_ms = parse_logical_date(valid_through, settings.spec) if valid_through else None
    report = start_report(
        "land",
        {
            "from_files": paths,
            "mapping": chosen.as_dict(),
            "valid_through": valid_through,
            "dry_run": dry_run,
        },
    )
    with using_spark(settings, "land") as spark:
        run_import(Import(spark, settings, paths, chosen, until_ms, dry_run, report))
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
