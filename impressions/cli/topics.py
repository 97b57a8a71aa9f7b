"""`impressions topics`: make the four topics, or refuse wrong ones with what fixes them."""

from __future__ import annotations

from typing import Annotated

import typer

from impressions.process.command import DryRun, Json, new_app, verb
from impressions.settings.model import Settings
from impressions.terminal.console import Table, emit

_FIX = (
    "Change wrong settings of topics that exist. Kafka then deletes records that a shorter "
    "retention or compaction does not keep."
)

app = new_app(help="The Kafka topics: create what is absent, check what is there.")


@app.command("create")
@verb
def create(
    settings: Settings,
    fix: Annotated[bool, typer.Option("--fix", help=_FIX)] = False,
    json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Create the topics that are absent; a second time changes nothing.

    A topic that exists and is wrong is refused, with the command that fixes it, before any is made.

    \b
    Examples:
      impressions topics create
      impressions topics create --dry-run
      impressions topics create --fix
    """
    from impressions.kafka import topics

    report = topics.create(settings, fix=fix, dry_run=dry_run)
    rows = [
        {"topic": t.name, "partitions": t.partitions, "state": report[t.name], **t.properties}
        for t in topics.wanted(settings)
    ]
    table = Table(
        ["topic", "partitions", "state"],
        [[r["topic"], r["partitions"], r["state"]] for r in rows],
    )
    emit({"topics": rows}, json=json, table=table)


@app.command("check")
@verb
def check(settings: Settings, json: Json = False) -> None:
    """Check partitions, broker timestamps, compaction and limits of all four topics.

    \b
    Example:
      impressions topics check
    """
    from impressions.kafka import topics

    found = topics.check(settings)
    rows = [
        {"topic": f.name, "id": f.topic_id.hex(), "partitions": f.partitions, "state": "ok"}
        for f in found.values()
    ]
    table = Table(
        ["topic", "partitions", "id", "state"],
        [[r["topic"], r["partitions"], r["id"], r["state"]] for r in rows],
    )
    emit({"topics": rows}, json=json, table=table)
