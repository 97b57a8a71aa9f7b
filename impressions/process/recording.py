"""Every run of a job leaves a record in the history, however it ends.

    with recorded(settings, "close", arguments):      done by `@verb(job="close")`, for every verb
        ...                                           what runs here is heard: Run, Report, events

    event(HEALED, "short import completed", "...")    from any step: kept in the innermost record

A job that repeats (`--every`) records its passes instead of itself (passes.py). A step of another
job opens a block within that one's:

    with recorded(settings, "close", arguments) as step:
        step.hear(run_close(...))                     the Outcome, where no Report is emitted

What is recorded: success, refusal, error, Ctrl-C. Not: --dry-run, which is no run of the job, and
wrong usage (exit 2), with which none began. A process that the system kills leaves no record; that
its success is missing is what status and alerts see.

The history never decides how a job ends: one that cannot be reached within 30 s is a warning.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from impressions.clock import now_ms
from impressions.core.errors import ImpressionsError, UsageError
from impressions.history.run_history import RunHistory
from impressions.history.run_record import HistoryEvent, RunRecord
from impressions.process.catalog_errors import as_catalog_error
from impressions.process.descriptors import exhausted
from impressions.process.extras import missing
from impressions.terminal import log
from impressions.terminal.console import jsonable
from impressions.terminal.listening import listening
from impressions.terminal.report import Outcome, Report, Run

if TYPE_CHECKING:
    from impressions.settings.model import Settings  # late: `--help` needs no settings

_WITHIN_S = 30.0
_INTERRUPTED = 130
_open: list[Recording] = []


class Recording:
    """One run under way; hears what it says (impressions/terminal/listening.py)."""

    def __init__(self, settings: Settings, job: str, arguments: Mapping[str, Any]):
        self.settings = settings
        self.in_passes = False
        self._events: list[HistoryEvent] = []
        self._cpu_s = _cpu_s()
        self._run = Run(job, arguments, id=uuid.uuid4().hex[:12], started_ms=now_ms())
        self._outcome = Outcome()

    def hear(self, what: object) -> None:
        """Takes over the id of a Run that starts, and the outcome of one that ends."""
        if isinstance(what, Run):
            self._run = replace(what, started_ms=self._run.started_ms)
        elif isinstance(what, Report):
            self._run = replace(what.run, started_ms=self._run.started_ms)
            self._outcome = what.outcome
        elif isinstance(what, Outcome):
            self._outcome = what

    def happened(self, event: HistoryEvent) -> None:
        self._events.append(event)

    def ended(
        self, code: int, known: ImpressionsError | None = None, notes: Sequence[str] = ()
    ) -> RunRecord:
        """The record of the run, which ends now."""
        run, outcome = self._run, self._outcome
        extra = {**outcome.extra, **({"notes": list(notes)} if notes else {})}
        return RunRecord(
            job=run.job,
            run_id=run.id,
            host=socket.gethostname(),
            started_ms=run.started_ms,
            ended_ms=now_ms(),
            exit_code=code,
            reason=_reason(code, known),
            error=None if known is None else " ".join(known.message.split())[:2_000],
            changed=outcome.changed,
            arguments=_plain(run.arguments),
            counts=_plain(outcome.counts),
            snapshots=_plain(outcome.snapshots),
            extra=_plain(extra),
            cpu_s=round(_cpu_s() - self._cpu_s, 3),
            events=tuple(self._events),
        )


@contextlib.contextmanager
def recorded(settings: Settings, job: str, arguments: Mapping[str, Any]) -> Iterator[Recording]:
    """Records the block as a run of the job, unless it was one of passes or of wrong usage."""
    with heard(settings, job, arguments) as this:
        try:
            yield this
        except BaseException as error:  # recorded whatever it was, Ctrl-C too; it goes on
            code, known = ended_by(error)
            if not this.in_passes and code != UsageError.exit_code:
                append(settings, this.ended(code, known, notes_of(error)))
            raise
        if not this.in_passes:
            append(settings, this.ended(0))


@contextlib.contextmanager
def heard(settings: Settings, job: str, arguments: Mapping[str, Any]) -> Iterator[Recording]:
    """A recording that hears what the block says; what becomes of it is the caller's to say."""
    this = Recording(settings, job, arguments)
    _open.append(this)
    try:
        with listening(this.hear):
            yield this
    finally:
        _open.remove(this)


def event(kind: str, what: str, detail: str = "") -> None:
    """Says what happened: a line in the log, and in the record of the run under way, if any."""
    log.info("event", kind=kind, what=what, detail=detail)
    if _open:
        _open[-1].happened(HistoryEvent(kind, now_ms(), what, detail))


def outermost() -> Recording | None:
    """The recording of the verb; None where no verb records."""
    return _open[0] if _open else None


def append(settings: Settings, record: RunRecord) -> None:
    """Adds to the history; what hinders that is a warning, whatever it is, and never waited for
    longer than 30 s."""
    failed: list[str] = [f"no answer within {_WITHIN_S:g} s"]

    def write() -> None:
        try:
            RunHistory(settings.history_uri, settings.history.runs).append(record)
            failed.clear()
        except Exception as error:  # the job has ended as it has; nothing here may change that
            failed[:] = [f"{type(error).__name__}: {error}"]

    thread = threading.Thread(target=write, name="history", daemon=True)
    thread.start()
    thread.join(_WITHIN_S)
    if failed:
        log.warning("run-not-recorded", job=record.job, run_id=record.run_id,
                    exit_code=record.exit_code, uri=settings.history_uri,
                    error=" ".join(failed[0].split()))  # fmt: skip


def ended_by(error: BaseException) -> tuple[int, ImpressionsError | None]:
    """The exit code of a verb that raised this, and what is known of it; a verb that only leaves
    with a code has said why."""
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return _INTERRUPTED, None
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None), None
    code = getattr(error, "exit_code", None)
    if not isinstance(error, ImpressionsError) and isinstance(code, int):
        return code, getattr(error, "known", None)  # typer.Exit
    if not isinstance(error, Exception):
        return 1, None
    known = known_error(error)
    return known.exit_code, known


def notes_of(error: BaseException) -> list[str]:
    """What was said of an error on its way up: PEP 678, such as where Spark's event log is."""
    return [str(note) for note in getattr(error, "__notes__", ())]


def known_error(error: Exception) -> ImpressionsError:
    """Whatever a verb raised, as an error with a message, a hint and an exit code."""
    if isinstance(error, ModuleNotFoundError):
        error = missing(error) or error
    error = exhausted(error) or as_catalog_error(error) or error
    if isinstance(error, ImpressionsError):
        return error
    return ImpressionsError(
        f"unexpected {type(error).__name__}: {_without_java_trace(str(error))}",
        hint="IMPRESSIONS_DEBUG=1 shows where; this is a defect, please report it",
        reason="unexpected",
    )


def _without_java_trace(text: str) -> str:
    """Spark's errors carry hundreds of lines of Java stack; the debug switch shows them."""
    return text.partition("\n\tat ")[0].strip()


def _reason(code: int, known: ImpressionsError | None) -> str | None:
    if known is not None:
        return known.reason
    return "interrupted" if code == _INTERRUPTED else "findings" if code else None


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _plain(value: Any) -> Any:
    """JSON types only; what has no JSON form is left as its text, and never fails a job."""
    try:
        return json.loads(json.dumps(value, default=_json_or_text))
    except (TypeError, ValueError) as error:
        return {"not_recorded": str(error)}


def _json_or_text(value: object) -> object:
    try:
        return jsonable(value)
    except TypeError:
        return str(value)
