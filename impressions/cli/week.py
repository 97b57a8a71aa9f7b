"""`impressions week`: the weekly run as one command: land, close, quality, compact, export, and on
a serving host load, check, activate, gc.

Steps belong to layers that do not know each other, so they are named here and called by name
(impressions/steps). Nothing is written down about how far a run came: each step looks at what is
there, so the same line goes on after a kill, a failure, or a week that was missed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impressions.clock import now_ms
from impressions.core.errors import UsageError
from impressions.core.slot import parse_logical_date
from impressions.formats.generation_paths import generation_id
from impressions.process.command import DryRun, Json, verb
from impressions.settings.model import Settings
from impressions.steps import host
from impressions.steps.dates import newest_ms, require_come
from impressions.steps.step import Step
from impressions.terminal.report import start_run

STEPS = (
    Step("land", "batch.week:land"),
    Step("close", "batch.week:close"),
    Step("quality", "batch.week:quality"),
    Step("compact", "batch.week:compact"),
    Step("export", "batch.week:export"),
)


@verb(job="week")
def command(
    settings: Settings,
    logical_date: Annotated[
        str | None, typer.Option(help="The cutover: everything ingested before it.")
    ] = None,
    latest: Annotated[
        bool,
        typer.Option("--latest", help="The newest week.day whose midnight has come, instead."),
    ] = False,
    on_host: Annotated[
        bool | None,
        typer.Option(
            "--host/--no-host",
            help="This machine serves too: load, check, activate, gc as well.",
            show_default="where host.data_dir is set",
        ),
    ] = None,
    from_files: Annotated[
        list[str] | None,
        typer.Option(
            "--from-files",
            metavar="PATH",
            help="Import files instead of landing the topic; repeatable.",
        ),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", metavar="FILE.toml", help="The files' mapping.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """The weekly run: land, close, quality, compact, export; on a host load, check, activate, gc.

    \b
    Examples:
      impressions week --latest                        for cron: on any day, also after a failure
      impressions week --logical-date 2026-11-15
      impressions week --latest --host --dry-run       what each step would do

    One report says what each step did. Killed or failed anywhere, run the same line again: what is
    done is left alone. The exit code is that of the step that ended it. A week that was missed is
    made up by the next one: its slots are landed, closed and judged, and the generation of the
    newest date, which holds the whole year, is made and loaded.
    """
    from impressions.process.registry import registered
    from impressions.steps import report, running
    from impressions.steps.asked import Week

    cutover_ms = _cutover_ms(settings, logical_date, latest, now_ms())
    if mapping is not None and not from_files:
        raise UsageError("--mapping: only with --from-files")
    steps = STEPS + (host.STEPS if _serves(settings, on_host) else ())
    name = generation_id(cutover_ms)
    run = start_run("week", {"logical_date": name, "dry_run": dry_run})
    files = {"paths": from_files, "mapping": mapping} if from_files else None
    week = Week(settings, now_ms, dry_run, cutover_ms=cutover_ms, from_files=files)
    with registered(settings, "week"):
        gone = running.go(steps, week, said=report.say_gone)
    report.tell(run, gone, json=json)


def _cutover_ms(settings: Settings, logical_date: str | None, latest: bool, at_ms: int) -> int:
    if (logical_date is None) != latest:
        raise UsageError(
            "expected one of --logical-date and --latest",
            hint="impressions week --logical-date 2026-11-15",
        )
    if logical_date is None:
        return newest_ms(settings.week.day, at_ms)
    cutover_ms = parse_logical_date(logical_date, settings.spec)
    require_come(cutover_ms, at_ms)
    return cutover_ms


def _serves(settings: Settings, on_host: bool | None) -> bool:
    return settings.host.data_dir is not None if on_host is None else on_host
