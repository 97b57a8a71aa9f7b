"""`impressions dev`: the whole system on this machine, left running: up, down."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from impressions.core.errors import ServiceError
from impressions.process.command import Json, new_app, verb
from impressions.process.extras import named
from impressions.settings.model import Settings
from impressions.settings.sources import known_keys
from impressions.terminal.console import Table, emit, say, warn

if TYPE_CHECKING:
    from impressions.local.dev import Dev, Part

app = new_app(help="The whole system on this machine, left running: up, down.")


@app.command("up")
@verb
def up(
    settings: Settings,
    land_every: Annotated[
        str | None,
        typer.Option(
            "--land-every",
            metavar="1m",
            help="Also land the topic in raw, every so often.",
            show_default="no lander",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Start broker, topics, worker and server, and leave them running.

    \b
    Examples:
      impressions dev up
      impressions dev up --land-every 1m     a lander too

    What runs already is left alone; what died since the last time is named and started again. Logs
    are in <home>/dev. A broker of kafka.bootstrap is used as it is.
    """
    from impressions.local.dev import Dev

    if land_every is not None:
        named("batch.landing.loop:parse_every")(land_every)
    dev = Dev(settings)
    if not json:
        say("starting broker, topics, worker and server ...")
    parts = dev.up(land_every)
    next_ = _next_lines(settings, dev, parts)
    changed = any(part.state.startswith("started") for part in parts)
    emit({"changed": changed, "processes": [asdict(p) for p in parts], "next": next_}, json=json,
         table=_table(parts))  # fmt: skip
    _tell_deaths(parts)
    if not json:
        head = "" if changed else "nothing to start; "
        print(f"\n{head}logs are in {dev.dir}. Try:\n")
        print("\n".join(f"  {line}" for line in next_))


@app.command("down")
@verb
def down(settings: Settings, json: Json = False) -> None:
    """Stop what `dev up` started, in order: lander, server, worker, broker. Data stay.

    A process that died before is named with its last line. A second time does nothing.

    \b
    Example:
      impressions dev down
    """
    from impressions.local.dev import Dev

    parts = Dev(settings).down()
    emit({"processes": [asdict(part) for part in parts]}, json=json, table=_table(parts))
    _tell_deaths(parts)
    killed = [part.name for part in parts if part.state == "killed"]
    if killed:
        raise ServiceError(
            f"{', '.join(killed)} did not stop in time: killed",
            hint="nothing is lost: the next start goes on where it was",
            reason="dev_killed",
        )


def _table(parts: list[Part]) -> Table:
    rows = [[p.name, p.state, p.pid, p.address, p.metrics] for p in parts]
    return Table(["process", "", "pid", "address", "metrics"], rows)


def _tell_deaths(parts: list[Part]) -> None:
    for part in parts:
        if part.last_line is not None:
            warn(f"{part.name} had died; its last line: {part.last_line}")


def _next_lines(settings: Settings, dev: Dev, parts: list[Part]) -> list[str]:
    """Commands that work as they stand, with the settings given here by flags."""
    by_flag = any("--set" in settings.origin(key) for key in known_keys(Settings))
    command = "impressions"
    if by_flag:
        command += f" --config {shlex.quote(str(dev.settings_file))}"
    server = next(part for part in parts if part.name == "server")
    address = "" if server.address == settings.serving.listen else f" --address {server.address}"
    return [
        f"{command} status --watch",
        f"{command} produce --help",
        f"{command} get --profile 42{address}",
        f"{command} dev down",
    ]
