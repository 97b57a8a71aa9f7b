"""Which Java runs Spark: JAVA_HOME first, then `java` on PATH, and only a release that works.

Spark 4.1 runs on Java 17 and 21. Older ones lack the class files' version; 25 took away what
Hadoop's login calls (`getSubject is not supported`), which shows only minutes into a job: so it is
refused before anything starts. The virtual machine itself says its version and home, because
`java` is often a link or a version manager's script.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from impressions.core.errors import MissingDependency

SUPPORTED = (17, 21)
INSTALL = (
    "install one, for example: apt-get install openjdk-17-jre-headless (or openjdk-21-...) | "
    "brew install openjdk@21 | dnf install java-21-openjdk-headless; "
    "then, if it is not the first on PATH: export JAVA_HOME=<its directory>"
)
_ASK_TIMEOUT_S = 30


@dataclass(frozen=True)
class Java:
    """One Java installation; give `home` to Spark as JAVA_HOME."""

    home: Path
    version: str
    major: int

    @property
    def executable(self) -> Path:
        return self.home / "bin" / "java"


def find_java(environ: Mapping[str, str] | None = None) -> Java:
    """The first supported Java; MissingDependency names those that were found instead."""
    rejected = []
    for executable in _candidates(os.environ if environ is None else environ):
        found = _ask(executable)
        if isinstance(found, Java) and found.major in SUPPORTED:
            return found
        rejected.append(
            f"Java {found.version} in {found.home}" if isinstance(found, Java) else found
        )
    what = "; ".join(rejected) or "no java in JAVA_HOME or on PATH"
    why = " (25 removed calls that Hadoop needs)" if "Java 25" in what else ""
    raise MissingDependency(
        f"found {what}; expected Java 17 or 21{why}", hint=INSTALL, reason="missing_java"
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if home := environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(on_path)


def _ask(executable: Path) -> Java | str:
    """What the virtual machine says about itself, or why it could not be asked."""
    try:
        answer = subprocess.run(
            [executable, "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=_ASK_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return f"{executable} that does not start ({reason})"
    facts = dict(re.findall(r"^\s*java\.(home|version) = (.+?)\s*$", answer.stderr, re.MULTILINE))
    if facts.keys() != {"home", "version"}:
        return f"{executable} that does not say its version"
    numbers = [int(n) for n in re.findall(r"\d+", facts["version"])] or [0]
    major = numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]  # 1.8 is Java 8
    return Java(Path(facts["home"]), facts["version"], major)
