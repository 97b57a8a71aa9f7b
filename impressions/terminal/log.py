"""One line per event on stderr: time, level, event, key=value.

    2026-11-15T06:00:00.123Z info swap old=2026-11-08 new=2026-11-15 worker=0

Plain `logging` underneath, so a program that embeds the server decides where lines go; `configure`
is what our own processes choose. Ids of profiles are logged at debug only.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time

LOGGER = logging.getLogger("impressions")
_REMEMBERED = 1_000
_said: set[str] = set()
_lock = threading.Lock()


def line(event: str, **fields: object) -> str:
    """`event key=value ...`; values with spaces are quoted."""
    return " ".join([event, *(f"{key}={_quoted(value)}" for key, value in fields.items())])


def debug(event: str, **fields: object) -> None:
    if LOGGER.isEnabledFor(logging.DEBUG):
        LOGGER.debug("%s", line(event, **fields))


def info(event: str, **fields: object) -> None:
    LOGGER.info("%s", line(event, **fields))


def warning(event: str, **fields: object) -> None:
    LOGGER.warning("%s", line(event, **fields))


def once(event: str, **fields: object) -> None:
    """A warning the first time; the same line again is debug, so that one damaged place that many
    ask for does not fill the disk."""
    text = line(event, **fields)
    with _lock:
        again = text in _said
        if len(_said) >= _REMEMBERED:
            _said.clear()
        _said.add(text)
    LOGGER.log(logging.DEBUG if again else logging.WARNING, "%s", text)


def configure(**always: object) -> None:
    """Lines to stderr, `always` at the end of each; IMPRESSIONS_DEBUG=1 adds the debug level."""
    suffix = "".join(f" {key}={_quoted(value)}" for key, value in always.items())
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s{suffix}", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    debug = os.environ.get("IMPRESSIONS_DEBUG", "") not in ("", "0")
    LOGGER.setLevel(logging.DEBUG if debug else logging.INFO)


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and not any(c.isspace() or c in '"=' for c in text) else json.dumps(text)
