"""`impressions doctor`: everything that must be so before anything starts, one line each.

What belongs to an extra that is not installed is skipped, not failed. Few commands need Java: where
it is absent, a note names them. Nothing is created or downloaded; `--deep` also starts Spark and
asks it for the catalog. The checks are in impressions/cli/checks, by area; `--short` shows one line
for each area.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from impressions.cli.checks import clock, disk, java, lake, network, packages
from impressions.cli.checks.check import Check, run
from impressions.clock import monotonic_s, now_ms
from impressions.core.errors import MissingDependency
from impressions.process.command import Json, verb
from impressions.settings.model import Settings
from impressions.terminal.console import emit

_OF_SPARK = "`compact --recompute`, `doctor --deep`, spark-submit"
AREAS = ("packages", "java", "disk", "network", "clock")


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
        table="\n".join(short_lines(checks) if short else long_lines(checks)),
    )
    if failed:
        raise typer.Exit(MissingDependency.exit_code)


def examine(settings: Settings, *, deep: bool = False) -> list[Check]:
    """All checks, in the order in which a fix of one may cure the next."""
    wall_ms, started_s = now_ms(), monotonic_s()
    checks = [*_of_packages(), *_of_java(settings), *_of_disk(settings), *_of_network(settings)]
    if deep:
        checks.append(run("java", "spark", partial(lake.spark, settings)))
    checks.append(run("clock", "clock", partial(clock.steady, wall_ms, started_s)))
    return checks


def _of_packages() -> Iterator[Check]:
    yield run("packages", "python", packages.python)
    for extra in packages.EXTRAS:
        yield run("packages", f"extra [{extra}]", partial(packages.extra, extra))
    yield run("packages", "user", packages.user, only_for=_OF_SPARK)


def _of_java(settings: Settings) -> Iterator[Check]:
    yield run("java", "java", java.java, only_for=f"{_OF_SPARK}, `kafka start`")
    yield run("java", "jars", partial(java.spark_jars, settings), only_for=_OF_SPARK)
    yield run("java", "kafka jars", partial(java.kafka_jars, settings), only_for="`kafka start`")


def _of_disk(settings: Settings) -> Iterator[Check]:
    yield run("disk", "cache directory", disk.cache, required=False)
    yield run("disk", "state directory", partial(disk.writable, settings.home_dir, "home"))
    yield run("disk", "free disk", partial(disk.free_disk, settings))
    yield run("disk", "catalog", partial(lake.catalog, settings))
    yield run("disk", "generations", partial(disk.generations, settings))


def _of_network(settings: Settings) -> Iterator[Check]:
    """The local broker may be down just now; one that was configured must answer."""
    listen = settings.serving.listen
    yield run("network", "port", partial(network.port, listen), required=False)
    required = bool(settings.kafka.bootstrap)
    broker = run("network", "broker", partial(network.broker, settings), required=required)
    yield broker
    if broker.state == "ok":
        clock_of = partial(network.broker_clock, settings)
        yield run("network", "broker clock", clock_of, required=False)


def long_lines(checks: Sequence[Check]) -> list[str]:
    """A line for each check, and the fix below it."""
    width = max(len(c.name) for c in checks)
    lines = []
    for c in checks:
        lines.append(f"{c.state:<4}  {c.name:<{width}}  {c.found}")
        if c.fix:
            lines.append(f"      {'':<{width}}  -> {c.fix}")
    return lines


def short_lines(checks: Sequence[Check]) -> list[str]:
    """A line for each area where all is well; elsewhere one for each fix and note."""
    lines = []
    for area in AREAS:
        own = [check for check in checks if check.area == area]
        wrong = [check for check in own if check.state in ("fix", "note")]
        if own and not wrong:
            lines.append(f"ok    {area:<8}  {_summary(own)}")
        for check in wrong:
            lines.append(f"{check.state:<4}  {area:<8}  {check.name}: {check.found}")
            if check.fix:
                lines.append(f"      {'':<8}  -> {check.fix}")
    return lines


_SHOWN = {
    "python": "Python ", "java": "Java ", "jars": "jars of Spark: ", "kafka jars": "of Kafka: ",
    "free disk": "", "port": "", "broker": "", "clock": "",
}  # fmt: skip
"""Checks whose findings stand in the line of their area -> what stands before them."""


def _summary(checks: Iterable[Check]) -> str:
    """What was found, without the paths."""
    ok = [check for check in checks if check.state == "ok"]
    shown = [_SHOWN[c.name] + c.found.split(" in /")[0] for c in ok if c.name in _SHOWN]
    extras = sum(check.name.startswith("extra ") for check in ok)
    if extras:
        shown.append(f"{extras} of {len(packages.EXTRAS)} extras, at the pinned versions")
    return "; ".join(shown) or "nothing to check here"
