"""`impressions doctor`: everything that must be so before anything starts, one line each.

A check returns what it found, or raises an error of ours whose hint is the fix. What belongs to an
extra that is not installed is skipped, not failed: a serving host needs no Java. Nothing is created
and nothing is downloaded; `--deep` also starts Spark and asks it for the catalog.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pwd
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer

from batch.lake.catalog import address, open_catalog
from impressions.cli.doctor_short import short_lines
from impressions.clock import monotonic_s, now_ms
from impressions.core.errors import CorruptData, ImpressionsError, MissingDependency, NotReady
from impressions.process.command import Json, verb
from impressions.process.extras import install_line, missing
from impressions.settings.model import Settings
from impressions.settings.paths import cache_dir, why_elsewhere
from impressions.terminal.console import emit, human_age, human_bytes, human_time

# What each extra is recognised by: the import that proves it works, and its distribution.
_EXTRAS = {
    "spark": (("pyspark.sql", "pyspark"), ("pyiceberg.catalog", "pyiceberg"), ("pandas", "pandas")),
    "bulkload": (("rocksdict", "rocksdict"), ("pyarrow", "pyarrow")),
    "serving": (("grpc_health.v1.health", "grpcio-health-checking"), ("rocksdict", "rocksdict")),
    "kafka": (("confluent_kafka", "confluent-kafka"),),
    "speed": (
        ("faust.app", "faust-streaming"),
        ("aiokafka", "aiokafka"),
        ("mode", "mode-streaming"),
    ),
}
_EARLIEST_MS = 1_735_689_600_000  # 2025-01-01; a clock before it was never set
_STEP_S = 1.0
_BROKER_S = 4.0


@dataclass(frozen=True)
class Check:
    """One line. `required` failures make the exit code 3; others are only shown."""

    name: str
    state: Literal["ok", "fix", "skip"]
    found: str
    fix: str | None = None
    required: bool = True


class _Skip(Exception):
    """The check is about something that this install does not have."""


@verb
def command(
    settings: Settings,
    json: Json = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also start Spark (half a minute).")] = False,
    short: Annotated[bool, typer.Option("--short", help="One line per area and fix.")] = False,
) -> None:
    """Check Python, extras, Java, jars, catalog, disk, port, broker, clock: each ok or the fix.

    Exit code 0 when everything required is ok, 3 otherwise. Nothing is changed.

    \b
    Examples:
      impressions doctor --short
      impressions doctor --deep --json
    """
    checks = examine(settings, deep=deep)
    failed = [c for c in checks if c.state == "fix" and c.required]
    emit(
        {"ok": not failed, "checks": [asdict(c) for c in checks]},
        json=json,
        table="\n".join(short_lines(checks) if short else _lines(checks)),
    )
    if failed:
        raise typer.Exit(MissingDependency.exit_code)


def examine(settings: Settings, *, deep: bool = False) -> list[Check]:
    """All checks, in the order in which a fix of one may cure the next."""
    wall_ms, started_s = now_ms(), monotonic_s()
    checks = [_run("python", _python)]
    checks += [_run(f"extra [{extra}]", partial(_extra, extra)) for extra in _EXTRAS]
    checks += [
        _run("user", _user),
        _run("cache directory", _cache, required=False),
        _run("java", _java),
        _run("jars", lambda: _jars(settings)),
        _run("kafka jars", lambda: _kafka_jars(settings)),
        _run("state directory", lambda: _writable(settings.home_dir, "home")),
        _run("free disk", lambda: _disk(settings)),
        _run("catalog", lambda: _catalog(settings)),
        _run("generations", lambda: _generations(settings)),
        _run("port", lambda: _port(settings.serving.listen), required=False),
        *_of_broker(settings),
    ]
    if deep:
        checks.append(_run("spark", lambda: _spark(settings)))
    checks.append(_run("clock", lambda: _clock(wall_ms, started_s)))
    return checks


def _run(name: str, check: Callable[[], str], *, required: bool = True) -> Check:
    try:
        return Check(name, "ok", check(), required=required)
    except _Skip as skip:
        return Check(name, "skip", str(skip), required=False)
    except ImpressionsError as error:
        return Check(name, "fix", error.message, error.hint, required)
    except Exception as error:  # a check that breaks is a finding, not the end of the others
        return Check(name, "fix", f"{type(error).__name__}: {error}", None, required)


def _lines(checks: list[Check]) -> list[str]:
    width = max(len(c.name) for c in checks)
    lines = []
    for c in checks:
        lines.append(f"{c.state:<4}  {c.name:<{width}}  {c.found}")
        if c.fix:
            lines.append(f"      {'':<{width}}  -> {c.fix}")
    return lines


def _python() -> str:
    return f"{sys.version.split()[0]} in {sys.prefix}"  # an older one does not get this far


def _extra(extra: str) -> str:
    """Every package of the extra imports, and has the version that pyproject.toml pins."""
    pins = _pins()
    versions = []
    for module, distribution in _EXTRAS[extra]:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            absent = missing(error, extra)
            raise _Skip(f"not installed; {absent.hint if absent else error}") from None
        version = metadata.version(distribution)
        if pins.get(distribution, version) != version:
            raise MissingDependency(
                f"found {distribution} {version}, expected {pins[distribution]}",
                hint=install_line(extra),
            )
        versions.append(f"{distribution} {version}")
    return ", ".join(versions)


def _pins() -> dict[str, str]:
    """The exact versions that this distribution asks for, by distribution name."""
    pin = re.compile(r"([A-Za-z0-9-]+)(?:\[.*?\])?==([^;\s]+)")
    matches = (pin.match(text) for text in metadata.requires("impressions-server") or ())
    return {match[1]: match[2] for match in matches if match}


def _user() -> str:
    """Java asks the system who it runs as, and Spark ends where that has no name."""
    _needs_spark()
    uid = os.getuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        raise NotReady(
            f"uid {uid} has no name: expected an entry in the system's list of users, without "
            "which Spark does not start",
            hint=f"echo 'impressions:x:{uid}:0::{tempfile.gettempdir()}:/sbin/nologin' "
            ">> /etc/passwd when the container starts, or run as a uid that is in it",
        ) from None


def _cache() -> str:
    """Of jars and compiled code. Where there is no lasting place, every start makes them again."""
    if (why := why_elsewhere()) is not None:
        raise NotReady(
            f"{cache_dir()}, because {why}",
            hint="export XDG_CACHE_HOME=<a directory of yours that lasts>",
        )
    return str(cache_dir())


def _needs_spark() -> None:
    if importlib.util.find_spec("pyspark") is None:
        raise _Skip("not needed without the extra [spark]")


def _java() -> str:
    _needs_spark()
    from impressions.jvm.java import find_java

    java = find_java()
    return f"{java.version} in {java.home}"


def _jars(settings: Settings) -> str:
    _needs_spark()
    from impressions.jvm import jars

    return _pinned(settings, jars.LOCK_FILE)


def _kafka_jars(settings: Settings) -> str:
    """Those of the local broker; somebody else's needs none here."""
    if settings.kafka.bootstrap:
        raise _Skip("not needed: kafka.bootstrap names a broker")
    _needs_spark()
    from impressions.local.broker import LOCK_FILE

    return _pinned(settings, LOCK_FILE)


def _pinned(settings: Settings, lock_file: Path) -> str:
    from impressions.jvm import jars

    wanted = jars.read_lock(lock_file)
    for jar in wanted:
        path = jars.jars_dir(settings) / jar.file_name
        if not path.exists():
            raise NotReady(f"{jar.file_name} is not in {path.parent}", hint="impressions jars")
        jars.verify(jar, path)
    return f"{len(wanted)} with the pinned sha256 in {jars.jars_dir(settings)}"


def _of_broker(settings: Settings) -> list[Check]:
    """The local one may be down just now; one that was configured must answer."""
    required = bool(settings.kafka.bootstrap)
    broker = _run("broker", lambda: _broker(settings), required=required)
    if broker.state != "ok":
        return [broker]
    return [broker, _run("broker clock", lambda: _broker_clock(settings), required=False)]


def _broker(settings: Settings) -> str:
    """Reachable, and its topics are what they must be; where none is configured, that is said."""
    from impressions.kafka import topics

    at = _bootstrap(settings)
    found = topics.check(settings, timeout_s=_BROKER_S)
    return f"{at} answers; {len(found)} topics are right, {settings.partitions} partitions each"


def _broker_clock(settings: Settings) -> str:
    """Kafka tells no time, but the newest record was stamped in its past.

    A stamp ahead of this clock is a difference for certain; the other direction shows in the
    worker's lag only.
    """
    from impressions.status.stream import newest_record_ms

    newest_ms = newest_record_ms(settings, timeout_s=_BROKER_S)
    if newest_ms is None:
        raise _Skip("no record to compare with yet")
    ahead_s = (newest_ms - now_ms()) / 1000
    margin_s = settings.speed.clock_margin_s
    if ahead_s > margin_s:
        raise NotReady(
            f"the newest record is {ahead_s:.1f} s in the future of this clock, "
            f"expected at most speed.clock_margin_s = {margin_s:g} s",
            hint="start a time service on this machine and on the broker's",
        )
    return f"newest record {human_age(max(0.0, -ahead_s))} ago by this clock"


def _bootstrap(settings: Settings) -> str:
    if importlib.util.find_spec("confluent_kafka") is None:
        raise _Skip("not needed without the extra [kafka]")
    from impressions.kafka.client import find_bootstrap

    at = find_bootstrap(settings)
    if at is None:
        raise _Skip("none configured, none runs here: impressions kafka start makes one")
    return at


def _catalog(settings: Settings) -> str:
    if importlib.util.find_spec("pyiceberg") is None:
        raise _Skip("not needed without the extra [spark]")
    default = settings.catalog.type == "jdbc" and settings.catalog.uri is None
    if default and not settings.catalog_file.exists():
        return f"{settings.catalog_file} (made at the first use)"
    try:
        namespaces = open_catalog(settings).list_namespaces()
    except ImpressionsError:
        raise
    except Exception as error:  # of any of the catalog's libraries: a finding, with its text
        raise NotReady(
            f"catalog {address(settings)}: {type(error).__name__}: {error}",
            hint="check catalog.uri and catalog.python_properties: impressions config",
        ) from error
    return f"{settings.catalog.name} answers, {len(namespaces)} namespaces"


def _writable(directory: Path, key: str) -> str:
    parent = _existing(directory)
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise NotReady(
            f"{parent} cannot be written: {error.strerror}",
            hint=f"--set {key}=<a directory of yours>",
        ) from None
    return str(directory) if parent == directory else f"{directory} (made at the first use)"


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(_existing(settings.host_dir)).free
    reserve = settings.host.reserve_bytes
    if free < reserve:
        raise NotReady(
            f"found {human_bytes(free)} free for {settings.host_dir}, "
            f"expected more than host.reserve_bytes = {human_bytes(reserve)}",
            hint="impressions bulkload gc, or --set host.data_dir=<a larger disk>",
        )
    return f"{human_bytes(free)} free, {human_bytes(reserve)} stay free"


def _generations(settings: Settings) -> str:
    where = settings.generations
    if "://" not in where:
        return _writable(Path(where), "generations_uri")
    if importlib.util.find_spec("pyarrow") is None:
        raise _Skip("not needed without the extra [bulkload]")
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(where)
        kind = filesystem.get_file_info(path).type
    except Exception as error:  # each file system raises its own: a finding, with its text
        raise NotReady(
            f"{where}: {type(error).__name__}: {error}",
            hint="check generations_uri, and the credentials in the environment",
        ) from error
    if kind == fs.FileType.File:
        raise CorruptData(f"{where} is a file, expected a directory", hint="set generations_uri")
    return f"{where} ({'empty' if kind == fs.FileType.NotFound else 'reachable'})"


def _port(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, int(port)))
        except OSError as error:
            raise NotReady(
                f"{listen}: {error.strerror} (by a server that runs already?)",
                hint="--set serving.listen=127.0.0.1:0 takes any free port",
            ) from None
    return f"{listen} is free"


def _spark(settings: Settings) -> str:
    _needs_spark()
    from batch.spark.session import using_spark

    with using_spark(settings, "doctor") as spark:
        count = spark.sql(f"SHOW NAMESPACES IN `{settings.catalog.name}`").count()
        return f"Spark {spark.version} sees the catalog, {count} namespaces"


def _clock(wall_ms: int, started_s: float) -> str:
    """The wall clock is set, and did not step while the other checks ran."""
    now = now_ms()
    stepped_s = (now - wall_ms) / 1000 - (monotonic_s() - started_s)
    if now < _EARLIEST_MS or abs(stepped_s) > _STEP_S:
        raise NotReady(
            f"found {human_time(now)}, stepped by {stepped_s:.1f} s during the checks; "
            f"expected a set and steady clock",
            hint="start a time service: timedatectl set-ntp true",
        )
    return human_time(now)


def _existing(path: Path) -> Path:
    """The path itself or the nearest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
