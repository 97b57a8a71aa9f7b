"""Jars of Maven coordinates: found by name, pinned by sha256, kept once per machine.

A lock file says which bytes: `jars.toml` here, what Spark needs beside its own; others for whatever
else runs on Java. The Ivy that pyspark ships knows where they come from, so no address stands in
this repository. Absent jars are fetched in one run into a directory inside the cache, each is
compared with its pin, and renamed into place: a file under a jar's name is complete and right.

At each use the pin is checked again, cheaply: a stamp beside the jar holds the sha256, size and
modification time that were verified; only if one of them differs is the file hashed again. That
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from impressions.clock import monotonic_s
from impressions.core.errors import CorruptData, MissingDependency
from impressions.jvm.java import Java, find_java
from impressions.process.extras import install_line, require
from impressions.settings.model import Settings
from impressions.settings.paths import cache_dir, expanded
from impressions.terminal.console import Bar, human_bytes, progress, say

LOCK_FILE = Path(__file__).with_name("jars.toml")
_STALL_S = 120.0  # no byte for so long: the download is dead, not slow
_POLL_S = 0.2


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
        return expanded(settings.spark.jars_dir)
    return cache_dir() / "jars"


def ensure(settings: Settings, jars: Sequence[Jar] | None = None) -> tuple[Path, ...]:
    """Paths of all pinned jars (default: those of Spark), verified; downloads what is absent.

    Raises:
        CorruptData: a file with another sha256 than its pin, in the cache or as downloaded.
        MissingDependency: no Java, no pyspark, or a download that failed.
    """
    directory = jars_dir(settings)
    wanted = read_lock() if jars is None else jars
    if absent := [jar for jar in wanted if not (directory / jar.file_name).exists()]:
        download(absent, directory, settings)
    paths = tuple(directory / jar.file_name for jar in wanted)
    for jar, path in zip(wanted, paths, strict=True):
        verify(jar, path)
    return paths


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


def download(jars: Sequence[Jar], directory: Path, settings: Settings) -> None:
    """Fetches jars through one run of Ivy; none appears in `directory` unless it is right."""
    java, ivy = find_java(), _ivy_jar()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".download-", dir=directory))
    except OSError as error:
        raise MissingDependency(
            f"the jar cache {directory} cannot be written: {error.strerror}",
            hint="export IMPRESSIONS_SPARK__JARS_DIR=<a directory of yours>",
            reason="jars_dir",
        ) from None
    what = jars[0].file_name if len(jars) == 1 else f"{len(jars)} jars"
    size_bytes = sum(jar.size_bytes for jar in jars)
    try:
        (work / "ivy.xml").write_text(_ivy_module(jars), "utf-8")
        with progress(what, total=size_bytes, unit="bytes") as bar:
            log = _run_ivy(_ivy_command(java, ivy, work, settings), work, bar)
        _keep(jars, work, directory, log)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"downloaded {what} ({human_bytes(size_bytes)}, sha256 ok)")


def _keep(jars: Sequence[Jar], work: Path, directory: Path, log: str) -> None:
    """Moves the right ones into the cache, so that the next run fetches only the rest."""
    absent = []
    for jar in jars:
        fetched = work / jar.file_name
        if not fetched.exists():
            absent.append(jar)
            continue
        try:
            verify(jar, fetched)
        except CorruptData as error:
            error.hint = "the source sent other bytes than were pinned; they were not kept"
            raise
        os.replace(fetched, directory / jar.file_name)
    if absent:
        raise _failed(absent, directory, log)


def _ivy_jar() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        require("pyspark", "spark")
        raise MissingDependency("pyspark has no directory", reason="missing_extra")
    jars = sorted((Path(spec.origin).parent / "jars").glob("ivy-*.jar"))
    if not jars:
        raise MissingDependency(
            f"found no ivy-*.jar in {Path(spec.origin).parent / 'jars'}, expected pyspark's own",
            hint=install_line("spark"),
        )
    return jars[-1]


def _ivy_module(jars: Sequence[Jar]) -> str:
    """The module that depends on these jars and on nothing else, in Ivy's words.

    Nothing is resolved beyond them: a lock file lists whatever is needed.
    """
    dependencies = "".join(
        f"<dependency org={quoteattr(jar.group)} name={quoteattr(jar.artifact)} "
        f'rev={quoteattr(jar.version)} conf="default-&gt;master" transitive="false"/>'
        for jar in jars
    )
    return (
        '<ivy-module version="2.0"><info organisation="impressions" module="jars"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{dependencies}</dependencies></ivy-module>"
    )


def _ivy_command(java: Java, ivy: Path, work: Path, settings: Settings) -> list[str]:
    mirror = settings.spark.conf.get("spark.jars.ivySettings")
    return [
        str(java.executable),
        *proxy_flags(os.environ),
        *("-jar", str(ivy), "-cache", str(work / "ivy"), "-confs", "default"),
        *(("-settings", mirror) if mirror else ()),
        *("-types", "jar", "bundle"),
        *("-ivy", str(work / "ivy.xml")),
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
        with contextlib.suppress(OSError):  # Ivy renames a part when it is complete
            total += path.stat().st_size
    return total


def _failed(absent: Sequence[Jar], directory: Path, log: str) -> MissingDependency:
    words = ("not found", "ERROR", "rror:", "xception", "timed out", "no byte arrived", "refused")
    said = [line.strip(" \t:") for line in log.splitlines() if any(w in line for w in words)]
    detail = "; ".join(dict.fromkeys(said[:3])) or "Ivy brought no file"
    return MissingDependency(
        f"download of {', '.join(jar.coordinate for jar in absent)} failed: {detail}",
        hint=f"check the network (HTTPS_PROXY; a mirror: spark.jars.ivySettings) and run "
        f"`impressions jars` again; or get {', '.join(jar.file_name for jar in absent)} "
        f"elsewhere and place it in {directory}/",
        reason="jar_download",
    )
