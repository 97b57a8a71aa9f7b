"""The one report of a run of steps.

    {"job": "week", ..., "steps": [{"step", "state", "seconds", "line", "report", "error"}, ...],
     "stopped_at": null, "exit_code": 0, "next": null, "retry": false}

The exit code is that of the step that failed; if none did, that of the first step that left
something wrong. A run that ends badly has the keys of its error at the top too (`error`, `reason`,
`message`, `hint`), where every command has them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from impressions.core.errors import ImpressionsError
from impressions.steps.running import Gone
from impressions.terminal.console import human_age, say
from impressions.terminal.report import Outcome, Run

NEXT = {
    1: "run the same line once more; if it fails again, call somebody",
    2: "correct the command line or the settings, then run the same line again",
    3: "install what is missing (impressions doctor), then run the same line again",
    4: "bytes are not what they should be: look them up in the runbook",
    5: "run the same line again later",
    6: "call somebody: nothing was published",
    7: "call somebody: it was refused, and nothing was changed by this step",
    8: "run the same line again, with pauses",
}
"""Exit code of the step that stopped a run -> what to do."""

RETRY = frozenset({1, 5, 8})
"""Exit codes after which the same line may succeed without a person."""


def stopped(gone: Sequence[Gone]) -> Gone | None:
    """The step whose error is that of the run; None if it went well."""
    failed = (one for one in gone if one.state == "failed")
    wrong = (one for one in gone if one.error is not None and one.state != "later")
    return next(failed, None) or next(wrong, None)


def exit_code(gone: Sequence[Gone]) -> int:
    """Of the process."""
    one = stopped(gone)
    return 0 if one is None or one.error is None else one.error.exit_code


def outcome_of(gone: Sequence[Gone]) -> Outcome:
    """For the report of the run."""
    code, at = exit_code(gone), stopped(gone)
    error = None if at is None else at.error
    return Outcome(
        changed=any(one.state == "done" for one in gone),
        extra={
            "steps": [_as_dict(one) for one in gone],
            "stopped_at": None if at is None else at.step.name,
            "next": NEXT.get(code),
            "retry": code in RETRY,
            **({"exit_code": 0} if error is None else error.as_dict()),
        },
    )


def _as_dict(one: Gone) -> dict[str, Any]:
    return {
        "step": one.step.name,
        "state": one.state,
        "seconds": one.seconds,
        "line": one.line,
        "report": {} if one.done is None else dict(one.done.report),
        "error": None if one.error is None else one.error.as_dict(),
    }


def say_gone(one: Gone) -> None:
    """A line as soon as a step is over, where no one watches a bar: in a log."""
    if not sys.stderr.isatty():
        say(f"{one.step.name}: {one.state} in {human_age(one.seconds)}: {one.line}")


class Stopped(typer.Exit):
    """The end of a run that did not end well, after its report; `known` is why."""

    def __init__(self, known: ImpressionsError) -> None:
        super().__init__(known.exit_code)
        self.known = known


def tell(run: Run, gone: Sequence[Gone], *, json: bool) -> None:
    """Prints the report. Raises Stopped if the run did not end well."""
    run.report(outcome_of(gone)).emit(json=json, summary="\n".join(map(_row, gone)))
    at = stopped(gone)
    if at is None or at.error is None:
        return
    if not json:
        _tell_error(at, at.error, gone)
    raise Stopped(at.error)


def _row(one: Gone) -> str:
    return f"{one.step.name:<9} {one.state:<12} {human_age(one.seconds):>8}  {one.line}".rstrip()


def _tell_error(at: Gone, error: ImpressionsError, gone: Sequence[Gone]) -> None:
    print(f"error: {at.step.name}: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint:  {error.hint}", file=sys.stderr)
    unreached = [one.step.name for one in gone if one.state == "not reached"]
    if unreached:
        print(f"not reached: {', '.join(unreached)}", file=sys.stderr)
    print(f"next:  {NEXT.get(error.exit_code, NEXT[1])}", file=sys.stderr)
