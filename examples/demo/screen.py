"""What a person sees of the demo: stages, commands, checks, and a last screen of what was proven.

On a terminal a bar stays below the lines while the story runs: the stage it is in, what it waits
for, and for how long. In a pipe the same lines appear without it.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

SHORT_S = 2.0
"""What takes no longer gets no bar."""
_BAR_COLUMNS = 28
_PIPE_COLUMNS = 160


@dataclass(frozen=True)
class Claim:
    """One thing that the run proved: what, and the number that shows it."""

    what: str
    number: str


class _Bars(Progress):
    """The first bar is the story's; another is shown once it has taken a while."""

    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks[1:]:
            task.visible = (task.elapsed or 0.0) >= SHORT_S
        yield from super().get_renderables()


class Screen:
    """Prints the story. A context: the bar lives from its start to its end.

    Args:
        stages: how many there will be.
        console: where to print; stdout by default.
    """

    def __init__(self, stages: int, console: Console | None = None) -> None:
        width = None if sys.stdout.isatty() else _PIPE_COLUMNS
        self.console = console or Console(highlight=False, soft_wrap=True, width=width)
        self._stages, self._at = stages, 0
        self._bars = _Bars(
            BarColumn(_BAR_COLUMNS),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._story = self._bars.add_task("starting", total=stages)

    def __enter__(self) -> Screen:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def stage(self, title: str) -> None:
        """The next chapter begins."""
        self._at += 1
        where = f"{self._at} of {self._stages}"
        self.line("")
        self.line(f"{where}  {title}", style="bold")
        self._bars.update(self._story, completed=self._at - 1, description=f"{where}  {title}")

    def line(self, text: str, style: str | None = None) -> None:
        """Plain text, as it is."""
        self.console.print(text, style=style, markup=False)

    @contextlib.contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """A bar of its own while the block runs; `for_what` says what takes the time."""
        task = self._bars.add_task(for_what, total=None)
        try:
            yield
        finally:
            self._bars.remove_task(task)

    @contextlib.contextmanager
    def command(self, words: str) -> Iterator[list[str]]:
        """A command and how long it took; what the block puts into the list is shown below it."""
        began_s, said = time.monotonic(), list[str]()
        how = "failed after "
        try:
            with self.waiting(words):
                yield said
            how = ""
        finally:
            self.line(f"  $ {words}   [{how}{time.monotonic() - began_s:.1f} s]")
            for text in said:
                self.line(f"      {text}", style="dim")


def show_proven(
    console: Console, claims: Sequence[Claim], next_steps: Sequence[tuple[str, str]]
) -> None:
    """The last screen: what was proven, each with its number, and what to do next."""
    console.print("\nWhat this run proved\n", style="bold")
    for rows in ([(c.what, c.number) for c in claims], next_steps):
        grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        grid.add_column(overflow="fold")
        grid.add_column(overflow="fold")
        for left, right in rows:
            grid.add_row(left, right)
        if rows is next_steps:
            console.print("\nWhat to do next\n", style="bold")
        console.print(grid, markup=False)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
