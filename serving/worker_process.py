"""One worker process: `python -m serving.worker_process`; serving/worker_processes.py starts it.

It receives its settings like every child process (impressions/process/child.py), writes `ready` to
standard output once it listens, and stops at SIGTERM or when its parent is gone.
"""

from __future__ import annotations

from impressions.core.errors import ImpressionsError
from impressions.process import child, lifetime
from impressions.process.command import report
from impressions.process.stop_signal import END, stopping_on
from impressions.settings.model import Settings
from impressions.terminal import log


def main() -> int:
    """The exit code of the worker."""
    lifetime.starting()
    from serving.server_process import run

    with stopping_on(*END) as stopping:
        message = child.received()
        if message is None:
            return 0
        log.configure(worker=message["number"])
        child.stop_with_parent(stopping)
        try:
            run(
                Settings(**message["settings"]),
                stopping,
                lambda _: print("ready", flush=True),
                kind="serve-worker",
                share_port=True,
            )
        except ImpressionsError as error:
            return report(error, as_json=False)
    return 0


if __name__ == "__main__":
    lifetime.begin(service=True)
    lifetime.leave(main())
