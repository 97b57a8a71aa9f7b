"""What a person sees: messages and progress on stderr, data on stdout.

    say / warn         one line on stderr
    progress           bars on stderr; where that is no terminal, lines (stage_lines.py)
    emit               the verb's result on stdout: one JSON document, or a table for people
    human_*            numbers and ages in words (in_words.py)

NO_COLOR and TERM=dumb are honoured by rich. rich is imported on first use, so that a verb that
prints JSON does not pay for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json as jsonlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from impressions.terminal.stage_lines import stage_lines
from impressions.terminal.units import human_age, human_bytes, human_time

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = [
    "Bar", "Table", "Unit", "emit", "human_age", "human_bytes", "human_time", "progress", "say",
    "warn",
]  # fmt: skip

Unit = Literal["bytes", "items", "time"]
_PIPE_COLUMNS = 200  # a table in a pipe is not cut at 80 columns


@cache
def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line for the person who waits; plain text, no markup."""
    _stderr().print(message, markup=False)


def warn(message: str) -> None:
    """One line that matters although the verb goes on."""
    _stderr().print(f"warning: {message}", style="yellow", markup=False)


class Bar(Protocol):
    """One line of progress."""

    def advance(self, by: float = 1) -> None: ...

    def set(self, completed: float, total: float | None = None) -> None: ...

    def describe(self, text: str) -> None: ...


class _RichBar:
    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task

    def advance(self, by: float = 1) -> None:
        self._progress.advance(self._task, by)

    def set(self, completed: float, total: float | None = None) -> None:
        self._progress.update(self._task, completed=completed, total=total)

    def describe(self, text: str) -> None:
        self._progress.update(self._task, description=text)


@contextlib.contextmanager
def progress(description: str, total: float | None = None, unit: Unit = "items") -> Iterator[Bar]:
    """A bar while the block runs; `total=None` pulses until `set` says how much there is. With the
    unit "time" nothing is counted, and the bar shows how long it takes.

    The bar disappears at the end: what remains is what the verb says with `say`. Where stderr is no
    terminal there is a line every 30 s and one at the end of all that took longer than 2 s.
    """
    if not sys.stderr.isatty():
        with stage_lines(description, total, unit, say) as lines:
            yield lines
        return
    from rich import progress as rich

    done = (rich.DownloadColumn(binary_units=True), rich.TransferSpeedColumn())
    columns: tuple[Any, ...] = done if unit == "bytes" else (rich.MofNCompleteColumn(),)
    columns += (rich.TimeRemainingColumn(),)
    if unit == "time":
        columns = (rich.TimeElapsedColumn(),)
    with rich.Progress(
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        *columns,
        console=_stderr(),
        transient=True,
    ) as bars:
        yield _RichBar(bars, bars.add_task(description, total=total))


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows for people; numbers stand right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str | None = None


def emit(data: object, *, json: bool, table: Table | str | None = None) -> None:
    """The verb's result on stdout.

    Args:
        data: JSON types, dataclasses, paths, datetimes, numpy numbers and arrays. With `json` it is
            printed as one line; else it is printed only where no `table` is given and it is a
            mapping, one `key  value` line each.
        json: the verb's `--json`.
        table: what a person gets instead: a Table, or text as it is.
    """
    if json:
        print(jsonlib.dumps(data, default=jsonable), flush=True)
    elif isinstance(table, Table):
        _print_table(table)
    elif table is not None:
        print(table, flush=True)
    elif isinstance(data, Mapping):
        width = max((len(str(key)) for key in data), default=0)
        for key, value in data.items():
            print(f"{key!s:<{width}}  {value}")
    else:
        print(data, flush=True)


def _print_table(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    out = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
    grid = RichTable(title=table.title, box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(table.columns):
        values = [row[i] for row in table.rows]
        numeric = bool(values) and all(isinstance(v, int | float) for v in values)
        grid.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(_cell(value)) for value in row))
    out.print(grid)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def jsonable(value: object) -> object:
    """The JSON form of what json itself does not know: its `default`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "tolist"):  # numpy numbers and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
