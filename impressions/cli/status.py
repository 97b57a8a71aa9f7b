"""`impressions status`: both paths end to end, as tables that a person reads from the top.

One line per stage, then how far each partition has come, the generations, and what runs. What is
found and judged is in impressions/status/report.py and impressions/status/stages.py; here it is
only drawn.
"""

from __future__ import annotations

import json as jsonlib
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impressions.process.command import Json, verb
from impressions.settings.model import Settings
from impressions.terminal.console import emit, human_age, human_time

if TYPE_CHECKING:
    from rich.console import RenderableType

    from impressions.status.report import Status

_EVERY_S = 2.0
_ROWS = 16
_STYLE = {"ok": "green", "none": "dim", "look": "yellow", "bad": "bold red"}


@verb
def command(
    settings: Settings,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every 2 s, until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """Show both paths end to end, each stage with its age, and who keeps them going.

    Stages: topic, landed, closed, quality, generations, loaded, active, worker, deltas, serving;
    then jobs, reconciled, disk.

    \b
    Examples:
      impressions status
      impressions status --watch
      impressions status --json          one document; with --watch one line per look

    Reads only, and needs no Java. A stage is ok, none (not there yet, no fault), look (somebody
    should) or bad. Exit code, so that a probe can use it: 0 nothing is bad, 4 damaged data on this
    host, 8 a server's answers are incomplete or it gives none, 7 something else is bad.
    """
    from impressions.status.report import document, look

    if watch:
        _watch(lambda: look(settings), json)
        return
    status = look(settings)
    if json:
        emit(document(status), json=True)
    else:
        _console().print(draw(status))
    if status.hangs:
        _leave(status.exit_code)
    if status.exit_code:
        raise typer.Exit(status.exit_code)


def _leave(code: int) -> None:
    """The end without the interpreter's own, which waits for threads of libraries that hang."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def draw(status: Status) -> RenderableType:
    """Everything, one table below the other; tables without rows are left out."""
    from rich.console import Group
    from rich.text import Text

    tables = (_stages(status), _partitions(status), _generations(status), _processes(status))
    parts: list[RenderableType] = []
    for table in tables:
        if table.row_count:
            parts += [table, Text()]
    return Group(*parts[:-1])


def _watch(look: Callable[[], Status], json: bool) -> None:
    """Until Ctrl-C, which is the normal end."""
    from rich.live import Live

    from impressions.status.report import document

    status = None
    try:
        if json:
            while True:
                status = look()
                print(jsonlib.dumps(document(status)), flush=True)
                time.sleep(_EVERY_S)
        with Live(console=_console(), auto_refresh=False) as live:
            while True:
                status = look()
                live.update(draw(status), refresh=True)
                time.sleep(_EVERY_S)
    except KeyboardInterrupt:
        if status is not None and status.hangs:
            _leave(0)


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 140, soft_wrap=False)


def _stages(status: Status) -> Any:
    from rich.text import Text

    table = _table("stage", "", f"at {human_time(status.found.at_ms)}")
    for stage in status.stages:
        table.add_row(
            Text(stage.name), Text(stage.state, style=_STYLE[stage.state]), Text(stage.line)
        )
        for what, hint in stage.problems:
            if what != stage.line:
                table.add_row("", "", Text(f"! {what}", style=_STYLE[stage.state]))
            if hint:
                table.add_row("", "", Text(f"  -> {hint}", style="dim"))
    return table


def _partitions(status: Status) -> Any:
    """With many partitions those that are furthest behind."""
    from impressions.status.report import partitions

    rows = partitions(status.found)
    left_out = max(0, len(rows) - _ROWS)
    rows = sorted(rows, key=lambda row: -(row["worker_age_s"] or 0))[:_ROWS] if left_out else rows
    title = f"{left_out} partitions that are less behind are left out" if left_out else None
    table = _table(
        "partition", "source end", "landed", "worker", "worker through", "copy through", title=title
    )
    for row in rows:
        table.add_row(
            *_cells(row["partition"], row["end_offset"], row["landed_offset"]),
            *_cells(row["worker_offset"], _ago(row["worker_age_s"])),
            "restoring" if row["copy_restoring"] else _ago(row["copy_age_s"]),
        )
    return table


def _generations(status: Status) -> Any:
    from impressions.status.questions import Unknown

    found = status.found
    in_table = {} if isinstance(found.lake, Unknown) else {
        g.generation: g for g in found.lake.generations
    }  # fmt: skip
    listed = {} if isinstance(found.published, Unknown) else {
        g.generation: g for g in found.published
    }  # fmt: skip
    here = {} if isinstance(found.host, Unknown) else {
        g.generation: g for g in found.host.generations
    }  # fmt: skip
    table = _table("generation", "age", "in the table", "exported", "this host", "lacks rows")
    for name in sorted({*in_table, *listed, *here}):
        known = in_table.get(name)
        cutover_ms = (known or listed.get(name) or here[name]).cutover_ms
        table.add_row(
            name,
            human_age((found.at_ms - cutover_ms) / 1000),
            "-" if known is None else "main" if known.is_main else "tag",
            listed[name].state if name in listed else "-",
            _on_host(here[name]) if name in here else "-",
            "-" if known is None or known.lacks is None else f"{known.lacks:,}",
        )
    return table


def _on_host(generation: Any) -> str:
    words = [generation.state]
    words += [word for word in ("active", "rolled_back") if getattr(generation, word)]
    return ", ".join(words).replace("_", " ")


def _processes(status: Status) -> Any:
    table = _table("process", "pid", "up", "address", "metrics")
    for process in status.found.processes:
        up_s = (status.found.at_ms - process.started_ms) / 1000
        table.add_row(
            process.kind, str(process.pid), human_age(up_s),
            process.address or "-", process.metrics or "-",
        )  # fmt: skip
    return table


def _table(*columns: str, title: str | None = None) -> Any:
    from rich.table import Table

    table = Table(title=title, box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _cells(*values: Any) -> list[str]:
    return ["-" if v is None else f"{v:,}" if isinstance(v, int) else str(v) for v in values]


def _ago(age_s: float | None) -> str:
    return "-" if age_s is None else f"{human_age(max(0.0, age_s))} ago"
