"""`python -m deltas`: keep this host's copy of the deltas without a server."""

from __future__ import annotations

from impressions.shell.command import run, verb
from impressions.shell.settings import Settings


@verb
def command(settings: Settings) -> None:
    """Copy the delta topic into this host's store, until SIGTERM or Ctrl-C.

    A server does this by itself (`impressions serve`); alone it serves a host whose servers come
    and go.
    """
    from deltas.process import follow
    from impressions.shell import log
    from impressions.shell.stopping import END, stopping_on

    log.configure(process="follower")
    with stopping_on(*END) as stopping:
        follow(settings, stopping, "127.0.0.1:0")


run(command, service=True)
