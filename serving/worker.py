"""A worker process: `python -m serving.worker`, started by serving/workers.py and by nobody else.

Reads its settings from the first line of standard input, says `ready` on standard output once it
listens, and stops at SIGTERM or when standard input ends, which means that the parent is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from impressions.errors import ImpressionsError
from impressions.shell.command import report
from impressions.shell.settings import Settings


def main() -> int:
    """The exit code of the worker."""
    from impressions.shell import log
    from serving.main import stop_on_signals
    from serving.server import run

    stopping = stop_on_signals()
    message = json.loads(sys.stdin.buffer.readline() or b"{}")
    if not message:
        return 0
    log.configure(worker=message["number"])
    threading.Thread(target=_stop_with_parent, args=(stopping,), daemon=True).start()
    try:
        run(
            Settings(**message["settings"]),
            stopping,
            lambda _: print("ready", flush=True),
            share_port=True,
        )
    except ImpressionsError as error:
        return report(error, as_json=False)
    return 0


def _stop_with_parent(stopping: threading.Event) -> None:
    # The descriptor, not `sys.stdin`: a thread that holds its lock aborts the interpreter's end.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stopping.set()


if __name__ == "__main__":
    sys.exit(main())
