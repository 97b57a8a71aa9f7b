"""`python -m impressions.deltas`: keep this host's copy of the deltas without a server."""

from __future__ import annotations

from impressions.process.command import run, verb
from impressions.settings.model import Settings


@verb
def command(settings: Settings) -> None:
    """Copy the delta topic into this host's store, until SIGTERM or Ctrl-C.

    A server does this by itself (`impressions serve`); alone it serves a host whose servers come
    and go.
    """
    from impressions.deltas.process import follow
    from impressions.process.stop_signal import END, stopping_on
    from impressions.terminal import log

    log.configure(process="follower")
    with stopping_on(*END) as stopping:
        follow(settings, stopping, "127.0.0.1:0")


run(command, service=True)
