"""Going through the steps of a run: in order, up to the first that fails.

In a dry run nothing is changed, so a step may lack what a step before it would have made. It then
says so as the error of a step that came too early (exit code 5); after a step that would change
something this is no failure but `later`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from impressions.clock import monotonic_s
from impressions.core.errors import ImpressionsError, NotReady
from impressions.process.command import show_where
from impressions.process.extras import named
from impressions.process.failpoint import failpoint
from impressions.process.recording import append, heard, known_error
from impressions.steps.asked import Asked
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
    asked: Asked,
    *,
    keeps_idle: bool = True,
    said: Callable[[Gone], None] = lambda _: None,
) -> list[Gone]:
    """Goes through all steps; raises nothing but an interrupt.

    Each step leaves a record in the history, as its verb would.

    Args:
        asked: what each step is called with.
        keeps_idle: also of a step that had nothing to do. A run that is started every few minutes
            would soon leave no other records.
        said: told of each step that was passed.
    """
    gone: list[Gone] = []
    waiting = iter(steps)
    for step in waiting:
        failpoint(f"before-{step.name}")
        one = _dry(step, asked, gone) if asked.dry_run else _recorded(step, asked, keeps_idle)
        gone.append(one)
        said(one)
        if one.state == "failed":
            break
    return [*gone, *_not_reached(waiting)]


def _recorded(step: Step, asked: Asked, keeps_idle: bool) -> Gone:
    with heard(asked.settings, step.name, {}) as this:
        one = _passed(step, asked)
        error = one.error
        if keeps_idle or one.state == "done" or error is not None:
            append(asked.settings, this.ended(error.exit_code if error else 0, error))
        return one


def _dry(step: Step, asked: Asked, before: list[Gone]) -> Gone:
    one = _passed(step, asked)
    is_early = one.state == "failed" and isinstance(one.error, NotReady)
    if is_early and any(each.state in ("would", "later") for each in before):
        return replace(one, state="later")
    return replace(one, state="would") if one.state == "done" else one


def _passed(step: Step, asked: Asked) -> Gone:
    began_s = monotonic_s()

    def after(state: State, done: Done | None, error: ImpressionsError | None) -> Gone:
        return Gone(step, state, round(monotonic_s() - began_s, 3), done, error)

    try:
        done: Done = named(step.target)(asked)
    except Exception as error:  # the report says which step it was
        known = known_error(error)
        show_where(error, known)
        return after("failed", None, known)
    return after("done" if done.changed else "nothing", done, done.left)


def _not_reached(waiting: Iterator[Step]) -> Iterator[Gone]:
    return (Gone(step, "not reached") for step in waiting)
