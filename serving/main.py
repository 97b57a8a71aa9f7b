"""`impressions serve` and `python -m serving`: answer gRPC requests until asked to stop.

Settings in, one server (or several workers) out; SIGTERM and SIGINT stop it in order and exit 0.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from impressions.core.errors import SettingsError
from impressions.process import lifetime
from impressions.process.command import Json, verb
from impressions.settings.model import Settings
from impressions.settings.sections.live import Serving
from impressions.terminal.console import emit


@verb
def command(
    settings: Settings,
    listen: Annotated[
        str | None, typer.Option(help="host:port; port 0 = any free one.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the port.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Answer gRPC requests from the active generation, until SIGTERM or Ctrl-C.

    \b
    Examples:
      impressions serve
      impressions serve --listen 0.0.0.0:50051 --workers 4
      impressions serve --listen 127.0.0.1:0 --json      prints the port it took

    Prints its address on stdout once it answers; logs go to stderr. It also starts without a
    generation; it is then not ready (health, UNAVAILABLE) until one is activated, and needs no
    restart. If a broker is configured (serving.deltas), answers contain the live stream too: a
    follower process keeps this host's copy of it. Without a generation, answers then come from the
    stream alone and are flagged.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its C core repeats our errors, in its own way
    lifetime.starting()
    from impressions.process.stop_signal import END, stopping_on
    from impressions.terminal import log
    from serving.child_processes import follower_running, with_deltas_decided
    from serving.server_process import run
    from serving.worker_processes import run_workers

    log.configure()
    serving = _with_flags(settings.serving, listen=listen, workers=workers)
    settings = with_deltas_decided(settings.model_copy(update={"serving": serving}))

    def announce(address: str) -> None:
        emit(
            {"address": address, "workers": serving.workers, "pid": os.getpid()},
            json=json,
            table=f"serving on {address}",
        )

    with stopping_on(*END) as stopping, follower_running(settings) as children:
        if serving.workers > 1:
            lifetime.started()  # this process only watches them
            run_workers(settings, stopping, announce, children)
        else:
            run(settings, stopping, lambda server: announce(server.address), children=children)


def _with_flags(serving: Serving, **flags: Any) -> Serving:
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Serving.model_validate({**serving.model_dump(), **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise SettingsError(
            f"--{name} {first['input']!r}: {first['msg']}", hint="impressions serve --help"
        ) from None
