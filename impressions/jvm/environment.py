"""The environment in which a JVM can name every file.

Java takes the encoding of file names from the locale, once, at its start: under `LC_ALL=C` it can
open no path that is not ASCII, while Python opens all. So a locale of another encoding, or none, is
replaced by C.UTF-8, for the JVM alone.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Mapping

from impressions.core.errors import NotReady

_BY_RANK = ("LC_ALL", "LC_CTYPE", "LANG")  # the first that is set decides


def java_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The same variables, with a locale of UTF-8."""
    locale = next((environ[name] for name in _BY_RANK if environ.get(name)), "C")
    encoding = locale.partition(".")[2].partition("@")[0].lower().replace("-", "")
    return dict(environ) if encoding == "utf8" else {**environ, "LC_ALL": "C.UTF-8"}


def named_user() -> str:
    """The user that runs, with a name: Java asks the system for it, and Spark ends where there is
    none ("invalid null input: name"). Raises NotReady."""
    uid = os.getuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        raise NotReady(
            f"uid {uid} has no name: expected an entry in the system's list of users, without "
            "which Spark does not start",
            hint=f"echo 'impressions:x:{uid}:0::{tempfile.gettempdir()}:/sbin/nologin' "
            ">> /etc/passwd when the container starts, or run as a uid that is in it",
            reason="no_user_name",
        ) from None
