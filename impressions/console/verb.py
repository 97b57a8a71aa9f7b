"""`impressions console`: the web page, until asked to stop.

Settings in, a page out; it asks and changes nothing. SIGTERM and SIGINT end it with exit code 0.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from impressions.clock import now_ms
from impressions.process.command import Json, verb
from impressions.process.extras import require
from impressions.settings.model import Settings
from impressions.terminal.console import emit

if TYPE_CHECKING:
    from impressions.console.app import Console


@verb
def command(
    settings: Settings,
    listen: Annotated[
        str | None, typer.Option(help="host:port; port 0 = any free one.", show_default=False)
    ] = None,
    show_profile_ids: Annotated[
        bool, typer.Option("--show-profile-ids", help="Show ids of profiles instead of dots.")
    ] = False,
    beyond_loopback: Annotated[
        bool,
        typer.Option(
            "--beyond-loopback",
            help="Allow an address that other machines reach. There is no login.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Show the system as a web page: where it is broken, generations, quality, jobs, a profile.

    \b
    Examples:
      impressions console
      impressions console --listen 127.0.0.1:0 --json
      impressions console --show-profile-ids --set console.environment=staging

    Reads only. Without --show-profile-ids no id of a profile is shown; none is ever logged.
    """
    for package in ("flask", "waitress"):
        require(package, "console")
    from impressions.console import guard
    from impressions.console.app import create_app
    from impressions.console.web_server import bound, running
    from impressions.process.registry import registered
    from impressions.process.stop_signal import END, stopping_on

    allowed = beyond_loopback or settings.console.beyond_loopback
    host, port = guard.checked(listen or settings.console.listen, allowed)
    with stopping_on(*END) as stopping, bound(host, port) as listener:
        port = listener.getsockname()[1]
        names = guard.host_names(host, port, settings.console.host_names)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        app = create_app(console_of(settings, names, show_profile_ids))
        with running(app, listener), registered(settings, "console", address=address):
            emit(
                {"address": address, "url": f"http://{address}/", "pid": os.getpid()},
                json=json,
                table=f"console on http://{address}/",
            )
            stopping.wait()


def console_of(settings: Settings, host_names: frozenset[str], show_profile_ids: bool) -> Console:
    """What the pages are made from, in this process."""
    from impressions.console.app import Console
    from impressions.console.environment import environment_of
    from impressions.console.look_up import look_up
    from impressions.console.masking import Masking
    from impressions.console.sources import addresses, answers_of

    return Console(
        settings,
        environment_of(settings),
        Masking(show_profile_ids),
        answers_of(settings, now_ms),
        now_ms,
        host_names,
        lambda address, profile_id, days: look_up(settings, address, profile_id, days),
        lambda: addresses(settings),
    )
