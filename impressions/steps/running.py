"""Going through the steps of a run: in order, up to the first that fails.

In a dry run nothing is changed, so a step may lack what a step before it would have made. It then
says so as the error of a step that came too early (exit code 5); after a step that would change
something this is no failure but `later`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from impressions.clock import monotonic_s
from impressions.core.errors import ImpressionsError, NotReady
from impressions.process.command import as_known
from impressions.process.extras import named
from impressions.process.failpoint import failpoint
from impressions.steps.step import Done, Step

State = Literal["done", "nothing", "would", "later", "failed", "not reached"]


@dataclass(frozen=True)
class Gone:
    """A step after the run has passed it.

    Attributes:
        state: done: it changed something; nothing: there was nothing to do; would, later: of a dry
            run; failed; not reached.
        error: of a step that failed, or that left something wrong.
    """

    step: Step
    state: State
    seconds: float = 0.0
    done: Done | None = None
    error: ImpressionsError | None = None

    @property
    def line(self) -> str:
        """For people."""
        if self.done is not None:
            return self.done.line if self.error is None else f"{self.done.line}; {self.error}"
        return "" if self.error is None else self.error.message


def go(
    steps: Iterable[Step],
    asked: Any,
    *,
    dry_run: bool,
    said: Callable[[Gone], None] = lambda _: None,
) -> list[Gone]:
    """Goes through all steps; raises nothing but an interrupt.

    Args:
        asked: what each step is called with.
        said: told of each step that was passed.
    """
    gone: list[Gone] = []
    waiting = iter(steps)
    for step in waiting:
        failpoint(f"before-{step.name}")
        one = _pass(step, asked, dry_run, gone)
        gone.append(one)
        said(one)
        if one.state == "failed":
            break
    return [*gone, *_not_reached(waiting)]


def _pass(step: Step, asked: Any, dry_run: bool, before: list[Gone]) -> Gone:
    began_s = monotonic_s()

    def after(state: State, **more: Any) -> Gone:
        return Gone(step, state, round(monotonic_s() - began_s, 3), **more)

    try:
        done: Done = named(step.target)(asked)
    except Exception as error:  # the report says which step it was
        known = as_known(error)
        early = dry_run and isinstance(known, NotReady)
        if early and any(one.state in ("would", "later") for one in before):
            return after("later", error=known)
        return after("failed", error=known)
    if not done.changed:
        return after("nothing", done=done, error=done.left)
    return after("would" if dry_run else "done", done=done, error=done.left)


def _not_reached(waiting: Iterator[Step]) -> Iterator[Gone]:
    return (Gone(step, "not reached") for step in waiting)
