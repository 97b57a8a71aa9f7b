"""`impressions jars`: download what is absent, verify the rest, say where they are."""

from __future__ import annotations

from typing import Annotated

import typer

from impressions.process.command import Json, verb
from impressions.settings.model import Settings
from impressions.terminal.console import Table, emit, human_bytes


@verb
def command(
    settings: Settings,
    short: Annotated[
        bool, typer.Option("--short", help="One line instead of one per jar.")
    ] = False,
    json: Json = False,
) -> None:
    """Download and verify the jars of Spark and of the local Kafka broker.

    They are found by name through the Ivy that pyspark ships, compared with the pinned sha256, and
    kept once per machine (spark.jars_dir). Running it again downloads nothing.

    \b
    Examples:
      impressions jars
      impressions jars --short
    """
    from impressions.jvm import jars
    from impressions.local.broker import LOCK_FILE

    directory = jars.jars_dir(settings)
    locked = (*jars.read_lock(), *jars.read_lock(LOCK_FILE))
    found = [(jar, (directory / jar.file_name).exists()) for jar in locked]
    paths = jars.ensure(settings, locked)
    rows = [
        {
            "artifact": jar.artifact,
            "version": jar.version,
            "size_bytes": jar.size_bytes,
            "sha256": jar.sha256,
            "path": str(path),
            "state": "cached" if cached else "downloaded",
        }
        for (jar, cached), path in zip(found, paths, strict=True)
    ]
    size = human_bytes(sum(jar.size_bytes for jar in locked))
    line = f"{len(rows)} jars, {size}, each with its pinned sha256, in {directory}"
    table = Table(
        ["artifact", "version", "size", "state", "path"],
        [
            [r["artifact"], r["version"], human_bytes(jar.size_bytes), r["state"], r["path"]]
            for r, (jar, _) in zip(rows, found, strict=True)
        ],
    )
    emit({"jars": rows}, json=json, table=line if short else table)
