"""`impressions kafka`: a real Kafka broker on this machine, without Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from impressions.process.command import Json, new_app, verb
from impressions.settings.model import Settings
from impressions.terminal.console import Table, emit, human_age, progress, warn

if TYPE_CHECKING:
    from impressions.local.broker import Broker, Running

app = new_app(help="A local Kafka broker: start, stop, status.")


@app.command("start")
@verb
def start(
    settings: Settings,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Where to listen.", show_default="as before, or any"),
    ] = None,
    json: Json = False,
) -> None:
    """Start the broker of this directory's state and wait until it answers.

    It runs until `impressions kafka stop`, keeps its data and its port, and is found by every other
    verb. Starting one that runs is a success that does nothing.

    \b
    Examples:
      impressions kafka start
      impressions kafka start --port 9092
    """
    from impressions.local.broker import Broker

    broker = Broker(settings)
    with progress("start the broker", unit="time"):
        running, started = broker.start(port)
    text = f"{'started' if started else 'already runs'}: {running.bootstrap} (pid {running.pid})"
    if settings.kafka.bootstrap not in (None, running.bootstrap):
        warn(f"kafka.bootstrap is {settings.kafka.bootstrap}: that is where the other verbs go")
    emit({"started": started, **_facts(broker, running)}, json=json, table=text)


@app.command("stop")
@verb
def stop(settings: Settings, json: Json = False) -> None:
    """Stop the broker; its data stay. Where none runs, nothing happens.

    \b
    Example:
      impressions kafka stop
    """
    from impressions.local.broker import Broker

    with progress("stop the broker", unit="time"):
        stopped = Broker(settings).stop()
    emit({"stopped": stopped}, json=json, table="stopped" if stopped else "no broker runs")


@app.command("status")
@verb
def status(settings: Settings, json: Json = False) -> None:
    """Say where the broker is, since when, and which topics it holds.

    \b
    Example:
      impressions kafka status
    """
    from impressions.kafka.admin import connect
    from impressions.local.broker import Broker

    broker = Broker(settings)
    running = broker.running()
    facts = _facts(broker, running)
    if running is None:
        emit(facts, json=json, table=f"no broker runs; its directory is {broker.dir}")
        return
    local = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"bootstrap": running.bootstrap})}
    )
    with connect(local) as admin:
        names = admin.names()
    facts["topics"] = [{"topic": name, "partitions": p} for name, p in sorted(names.items())]
    lines = {
        "address": running.bootstrap,
        "pid": running.pid,
        "up": human_age(running.uptime_s),
        "data": broker.data_dir,
        "log": broker.log_file,
        "topics": ", ".join(f"{name} ({p})" for name, p in sorted(names.items())) or "none",
    }
    emit(facts, json=json, table=Table(["broker", ""], [[k, str(v)] for k, v in lines.items()]))


def _facts(broker: Broker, running: Running | None) -> dict[str, Any]:
    return {
        "running": running is not None,
        "bootstrap": running.bootstrap if running else None,
        "pid": running.pid if running else None,
        "uptime_s": running.uptime_s if running else None,
        "data_dir": broker.data_dir,
        "log_file": broker.log_file,
        "topics": [],
    }
