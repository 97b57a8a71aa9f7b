"""Airflow's side of `impressions`: an operator, a sensor, and what is done when a run is late.

The Airflow Variable `impressions`, a JSON object, says where commands run. It is read when a task
runs, never when the DAG is parsed:

    command     words before the verb; default ["impressions"]
    directory   working directory on the worker, with impressions.toml in it; default: its own
    land        arguments of `land`; {cutover} stands for the cutover. null: landing is a service
    hosts       name of a serving host -> words before the verb there; without it nothing is loaded

A failed command is tried again only where that can help (impressions_command.py).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, BaseSensorOperator, Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from impressions_command import Ended, Running

log = logging.getLogger("impressions")

VARIABLE = "impressions"
LAND = ["--once", "--until", "{cutover}"]


def places() -> dict[str, Any]:
    """The Variable, with the defaults filled in. A key that is not known is refused."""
    defaults = {"command": ["impressions"], "directory": None, "land": LAND, "hosts": {}}
    given = Variable.get(VARIABLE, default={}, deserialize_json=True)
    if unknown := sorted(given.keys() - defaults.keys()):
        raise AirflowFailException(
            f"Variable {VARIABLE}: found {unknown}, expected only {sorted(defaults)}"
        )
    return defaults | given


def cutover_at(end: datetime, slot_seconds: int, clock_margin_s: float) -> str:
    """The newest slot's start through which raw can be valid at `end`, as `--logical-date` takes
    it: `2026-11-15`, or `2026-11-15T06:00:20Z` for a slot that does not start at midnight."""
    through_s = int((end - timedelta(seconds=clock_margin_s)).timestamp())
    cutover = datetime.fromtimestamp(through_s - through_s % slot_seconds, UTC)
    midnight = (cutover.hour, cutover.minute, cutover.second) == (0, 0, 0)
    return cutover.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M:%SZ")


class ImpressionsOperator(BaseOperator):
    """Runs one verb with --json; its exit code decides whether the task is retried.

    Args:
        arguments: verb and flags; templated.
        command: words before the verb; templated. Default: those of the Variable.
        returned: the key of the report that becomes the task's XCom; None for no XCom.
    """

    template_fields: Sequence[str] = ("arguments", "command")

    def __init__(
        self,
        *,
        arguments: list[str],
        command: Any = None,
        returned: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.arguments, self.command, self.returned = arguments, command, returned
        self._running: Running | None = None

    def execute(self, context: Any) -> Any:
        """Raises AirflowFailException where no retry can help, else AirflowException."""
        report = done(self.run(self.arguments))
        return report[self.returned] if self.returned else None

    def run(self, arguments: Sequence[str]) -> Ended:
        """Runs the command to its end, with its stderr and its report in the task's log."""
        where = places()
        command = where["command"] if self.command is None else self.command
        words = [*command, *arguments, "--json"]
        log.info("running %s", words)
        try:
            self._running = Running(words, where["directory"])
        except OSError as error:
            raise AirflowFailException(f"{words[0]} was not started: {error}") from error
        ended = self._running.wait(lambda line: log.info("%s", line))
        log.info("exit code %s: %s", ended.code, ended.document)
        return ended

    def on_kill(self) -> None:
        if self._running is not None:
            self._running.stop()


class LandOperator(ImpressionsOperator):
    """`land`, with the arguments that the Variable says; nothing where landing is a service."""

    def __init__(self, *, cutover: str, **kwargs: Any) -> None:
        super().__init__(arguments=[], **kwargs)
        self.cutover = cutover

    template_fields: Sequence[str] = ("cutover",)

    def execute(self, context: Any) -> None:
        land = places()["land"]
        if land is None:
            log.info("the Variable says that landing is a service: nothing to do here")
            return
        done(self.run(["land", *(word.replace("{cutover}", self.cutover) for word in land)]))


class CutoverOperator(ImpressionsOperator):
    """Returns the run's cutover.

    It is the run's parameter `cutover`, if given; else that of the time for which the run was
    scheduled (data_interval_end), by the slots that the settings say. A run that was triggered by
    hand without a logical date has no data interval: the moment from which it may run stands in.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(arguments=["config"], **kwargs)

    def execute(self, context: Any) -> str:
        if chosen := context["params"].get("cutover"):
            return str(chosen)
        settings = {row["key"]: row["value"] for row in done(self.run(["config"]))["settings"]}
        end = context.get("data_interval_end") or context["dag_run"].run_after
        return cutover_at(end, settings["slot_seconds"], settings["land.clock_margin_s"])


class ValidThroughSensor(BaseSensorOperator):
    """Waits until raw is valid through the cutover, by `impressions status`.

    status exits with other codes than 0 when anything anywhere is bad, which is no answer to this
    question; its document is. A look that gave no document is repeated at the next poke.
    """

    template_fields: Sequence[str] = ("cutover",)

    def __init__(self, *, cutover: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cutover = cutover

    def poke(self, context: Any) -> bool:
        """Raises AirflowFailException where the command cannot be run at all."""
        look = ImpressionsOperator(task_id="status", arguments=[])
        ended = look.run(["status"])
        if "stages" not in ended.document:
            if not ended.is_retried:
                raise AirflowFailException(f"status: {ended}")
            return False
        through_ms = ended.document["stages"]["landed"].get("valid_through_ms")
        needed = datetime.fromisoformat(self.cutover).replace(tzinfo=UTC)
        if through_ms is not None and through_ms >= needed.timestamp() * 1000:
            return True
        log.info(
            "raw is valid through %s ms, needed is %s; does a landing run?", through_ms, needed
        )
        return False


def done(ended: Ended) -> dict[str, Any]:
    """The report of a command that succeeded.

    Raises:
        AirflowFailException: it failed, and no retry can help.
        AirflowException: it failed, and the same command may succeed later.
    """
    if ended.code == 0:
        return ended.document
    raise (AirflowException if ended.is_retried else AirflowFailException)(str(ended))


def late(**kwargs: Any) -> None:
    """What the deadline does: an error in the log. Put your pager here, or a notifier into the DAG.

    Airflow calls it with the run's context.
    """
    run = (kwargs.get("context") or {}).get("dag_run")
    log.error("the weekly run of Impressions is late: %s; hosts serve the generation before", run)
