"""`impressions exporter`: jobs, tables, topic, disks and this host as metrics for Prometheus."""

from __future__ import annotations

from impressions.clock import now_ms
from impressions.process.command import Json, verb
from impressions.settings.model import Settings
from impressions.terminal.console import emit


@verb
def command(settings: Settings, json: Json = False) -> None:
    """Show at /metrics what `impressions status` shows: a service, until SIGTERM.

    One on each machine: it sees the history of all jobs (history.uri), the tables and the topic,
    and the disks and generations of its own machine. Everything is asked again each
    exporter.every_s; what cannot be asked has no metrics and does not stop the others.

    \b
    Example:
      impressions exporter --set exporter.metrics_listen=0.0.0.0:9467
    """
    from impressions.exporter.service import serve

    def started(address: str) -> None:
        emit({"metrics": address}, json=json, table=f"metrics on http://{address}/metrics")

    serve(settings, now_ms, started)
