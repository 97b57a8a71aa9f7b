"""The jars Spark needs beside its own: found by name, pinned by sha256, kept once per machine.

`jars.toml` says which bytes; the Ivy that pyspark ships knows where they come from, so no address
stands in this repository. A jar is fetched into a directory of its own inside the cache, compared
with its pin, and renamed into place: a file under a jar's name is whole and right.

At each use the pin is checked again, cheaply: a stamp beside the jar holds the sha256, size and
modification time that were verified; only if one of them differs is the file hashed anew. That
finds an exchanged or cut file, not one altered in place with its old size and time.

A mirror or a proxy is the environment's matter: HTTPS_PROXY, JAVA_TOOL_OPTIONS, or Spark's own
property spark.jars.ivySettings.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from batch.java import Java, find_java
from impressions.clock import monotonic_s
from impressions.errors import CorruptData, MissingDependency
from impressions.shell.console import Bar, human_bytes, progress, say
from impressions.shell.extras import require
from impressions.shell.settings import Settings

LOCK_FILE = Path(__file__).with_name("jars.toml")
_STALL_S = 120.0  # no byte for so long: the download is dead, not slow
_POLL_S = 0.2

State = Literal["ok", "absent", "wrong"]


@dataclass(frozen=True)
class Jar:
    """One line of the lock: a Maven coordinate and the bytes it must be."""

    group: str
    artifact: str
    version: str
    size_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


@cache
def read_lock(path: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """The pinned jars, in the order of the file."""
    return tuple(Jar(**entry) for entry in tomllib.loads(path.read_text("utf-8"))["jar"])


def jars_dir(settings: Settings) -> Path:
    """Where jars are kept: the setting, else the user's cache directory."""
    if settings.spark.jars_dir is not None:
        return settings.spark.jars_dir.expanduser().absolute()
    cache_home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache_home).expanduser() / "impressions" / "jars"


def ensure(settings: Settings, jars: tuple[Jar, ...] | None = None) -> tuple[Path, ...]:
    """Paths of all pinned jars, verified; downloads what is absent.

    Raises:
        CorruptData: a file with another sha256 than its pin, in the cache or as downloaded.
        MissingDependency: no Java, no pyspark, or a download that failed.
    """
    directory = jars_dir(settings)
    paths = []
    for jar in read_lock() if jars is None else jars:
        path = directory / jar.file_name
        if not path.exists():
            download(jar, directory, settings)
        verify(jar, path)
        paths.append(path)
    return tuple(paths)


def state(jar: Jar, settings: Settings) -> State:
    """Whether a jar could be used now, without the network."""
    path = jars_dir(settings) / jar.file_name
    if not path.exists():
        return "absent"
    try:
        verify(jar, path)
    except CorruptData:
        return "wrong"
    return "ok"


def verify(jar: Jar, path: Path) -> None:
    """Compares a file with its pin, and remembers the result in the stamp beside it."""
    found = path.stat()
    stamp = path.with_name(path.name + ".verified")
    expected = f"{jar.sha256} {found.st_size} {found.st_mtime_ns}\n"
    with contextlib.suppress(OSError):
        if stamp.read_text("ascii") == expected:
            return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != jar.sha256:
        raise CorruptData(
            f"{path}: found sha256 {digest} ({found.st_size} bytes), "
            f"expected {jar.sha256} ({jar.size_bytes} bytes) for {jar.coordinate}",
            hint=f"rm '{path}' && impressions jars",
            reason="jar_sha256",
        )
    with contextlib.suppress(OSError):  # a read-only cache is hashed at each use
        stamp.write_text(expected, "ascii")


def download(jar: Jar, directory: Path, settings: Settings) -> None:
    """Fetches one jar through Ivy into `directory`; nothing appears there unless it is right."""
    java, ivy = find_java(), _ivy_jar()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{jar.artifact}-", dir=directory))
    except OSError as error:
        raise MissingDependency(
            f"the jar cache {directory} cannot be written: {error.strerror}",
            hint="export IMPRESSIONS_SPARK__JARS_DIR=<a directory of yours>",
            reason="jars_dir",
        ) from None
    try:
        fetched = work / jar.file_name
        with progress(jar.file_name, total=jar.size_bytes, unit="bytes") as bar:
            log = _run_ivy(_ivy_command(jar, java, ivy, work, settings), work, bar)
        if not fetched.exists():
            raise _failed(jar, directory, log)
        try:
            verify(jar, fetched)
        except CorruptData as error:
            error.hint = "the source sent other bytes than were pinned; nothing was kept"
            raise
        os.replace(fetched, directory / jar.file_name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"downloaded {jar.file_name} ({human_bytes(jar.size_bytes)}, sha256 ok)")


def _ivy_jar() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        require("pyspark", "spark")
        raise MissingDependency("pyspark has no directory", reason="missing_extra")
    jars = sorted((Path(spec.origin).parent / "jars").glob("ivy-*.jar"))
    if not jars:
        raise MissingDependency(
            f"found no ivy-*.jar in {Path(spec.origin).parent / 'jars'}, expected pyspark's own",
            hint="pip install 'impressions[spark]' (in a clone of the repository: make venv)",
        )
    return jars[-1]


def _ivy_command(jar: Jar, java: Java, ivy: Path, work: Path, settings: Settings) -> list[str]:
    """Jars are self-contained or Spark has what they need, so nothing else is resolved."""
    mirror = settings.spark.conf.get("spark.jars.ivySettings")
    return [
        str(java.executable),
        *proxy_flags(os.environ),
        *("-jar", str(ivy), "-cache", str(work / "ivy"), "-confs", "default"),
        *(("-settings", mirror) if mirror else ()),
        *("-notransitive", "-types", "jar"),
        *("-dependency", jar.group, jar.artifact, jar.version),
        *("-retrieve", f"{work}/[artifact]-[revision](-[classifier]).[ext]"),
    ]


def proxy_flags(environ: Mapping[str, str]) -> list[str]:
    """HTTPS_PROXY and HTTP_PROXY in Java's words, which does not read them itself."""
    flags = []
    for scheme in ("https", "http"):
        url = environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY")
        parts = urlsplit(url if "://" in url else f"http://{url}") if url else None
        if parts and parts.hostname:
            flags.append(f"-D{scheme}.proxyHost={parts.hostname}")
            flags.append(f"-D{scheme}.proxyPort={parts.port or 80}")
    return flags


def _run_ivy(command: list[str], work: Path, bar: Bar) -> str:
    """Runs Ivy and shows the bytes as they arrive; returns what it printed."""
    log = work / "ivy.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        seen, moved_at = 0, monotonic_s()
        try:
            while True:
                try:
                    process.wait(_POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    size = _downloaded_bytes(work)
                if size != seen:
                    seen, moved_at = size, monotonic_s()
                    bar.set(seen)
                elif monotonic_s() - moved_at > _STALL_S:
                    out.write(f"no byte arrived for {_STALL_S:.0f} s\n".encode())
                    break
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return log.read_text("utf-8", errors="replace")


def _downloaded_bytes(work: Path) -> int:
    total = 0
    for path in (work / "ivy").rglob("*.jar*"):
        with contextlib.suppress(OSError):  # Ivy renames a part when it is whole
            total += path.stat().st_size
    return total


def _failed(jar: Jar, directory: Path, log: str) -> MissingDependency:
    words = ("not found", "ERROR", "rror:", "xception", "timed out", "no byte arrived", "refused")
    told = [line.strip(" \t:") for line in log.splitlines() if any(w in line for w in words)]
    detail = "; ".join(dict.fromkeys(told[:3])) or "Ivy brought no file"
    return MissingDependency(
        f"download of {jar.coordinate} failed: {detail}",
        hint=f"check the network (HTTPS_PROXY; a mirror: spark.jars.ivySettings) and run "
        f"`impressions jars` again; or get {jar.file_name} elsewhere and place it in {directory}/",
        reason="jar_download",
    )
