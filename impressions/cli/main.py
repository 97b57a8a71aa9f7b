"""The `impressions` command: a table of verbs, each loaded only when it is called.

A verb lives in the package that does the work (`batch.compact:command`) or, when it belongs to
none, beside this file. `impressions --help` imports none of them, so it answers at once and works
in an install without extras; a verb whose extra is absent answers with its install line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from impressions.process import lifetime
from impressions.process.command import Invocation, as_app
from impressions.process.command import main as run_app
from impressions.process.extras import named


@dataclass(frozen=True)
class Verb:
    """`target` is `module:attribute`, a verb function or a Typer app; `summary` its help line.

    `service`: it runs until it is asked to stop.
    """

    target: str
    summary: str
    service: bool = False


VERBS = {
    "doctor": Verb("impressions.cli.doctor:command", "Check everything before anything starts."),
    "config": Verb(
        "impressions.cli.config:command", "Print the effective settings and who set them."
    ),
    "jars": Verb(
        "impressions.cli.jars:command", "Download and verify the jars of Spark and Kafka."
    ),
    "kafka": Verb(
        "impressions.cli.kafka:app", "Run a Kafka broker on this machine: start, stop, status."
    ),
    "topics": Verb("impressions.cli.topics:app", "Create and check the Kafka topics."),
    "produce": Verb("batch.replay.produce:command", "Replay a file of events into Kafka, live."),
    "land": Verb("batch.land:command", "Bring events from Kafka or from files into the raw table."),
    "close": Verb("batch.close:command", "Sort finished ingest slots and flag duplicates."),
    "quality": Verb(
        "batch.status.quality:command",
        "Judge the days of events: what is not like the days before.",
    ),
    "accept": Verb(
        "batch.status.accept:command", "Accept a finding about some days, with a reason."
    ),
    "compact": Verb("batch.compact:command", "Compute and publish one generation's aggregates."),
    "export": Verb("batch.export:command", "Write a generation's SST files and manifest."),
    "bulkload": Verb(
        "bulkload.cli:app", "Install generations on a host: load, activate, rollback."
    ),
    "speed": Verb(
        "speed.main:command", "Apply the live stream: one worker of the group.", service=True
    ),
    "rejected": Verb(
        "impressions.cli.rejected:app", "Show or send again what the stream could not count."
    ),
    "serve": Verb(
        "serving.main:command",
        "Answer gRPC requests: the active generation and the live stream.",
        service=True,
    ),
    "get": Verb("impressions.cli.get:command", "Ask a server about one profile."),
    "reconcile": Verb(
        "batch.reconciling.verb:command",
        "Compare raw with answers; name events that differ.",
    ),
    "status": Verb("impressions.cli.status:command", "Show both paths end to end, with ages."),
    "exporter": Verb(
        "impressions.cli.exporter:command",
        "Serve what status shows as metrics: jobs, tables, topic, disks.",
        service=True,
    ),
    "console": Verb(
        "impressions.console.verb:command", "Show the system as a web page.", service=True
    ),
    "dev": Verb("impressions.cli.dev:app", "Run the whole system on this machine: up, down."),
}


def load_verb(name: str) -> Any:
    """The command behind a name, imported now."""
    target: typer.Typer | Callable[..., None] = named(VERBS[name].target)
    return typer.main.get_command(target if isinstance(target, typer.Typer) else as_app(target))


class LazyVerbs(TyperGroup):
    """Lists verbs from the table; imports one when it is resolved."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, verb in VERBS.items():
            self.add_command(TyperCommand(name, help=verb.summary, rich_markup_mode=None), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, load_verb(name) if name else listed, rest


def build_app() -> typer.Typer:
    """The Typer app with its global options."""
    app = typer.Typer(
        cls=LazyVerbs, no_args_is_help=True, rich_markup_mode=None, add_completion=False
    )
    app.callback()(_options)
    return app


def main() -> None:
    """The console script."""
    words = sys.argv[1:]
    named = next((VERBS[word] for word in words if word in VERBS), None)
    lifetime.begin(service=named is not None and (named.service or _repeats(words)))
    lifetime.leave(run_app(build_app(), words, prog="impressions"))


def _repeats(words: Sequence[str]) -> bool:
    """Whether it is a verb that goes on for ever: a landing, a reconciliation."""
    return any(word.partition("=")[0] == "--every" for word in words)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("impressions-server"))
        raise typer.Exit


def _options(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file.", show_default="impressions.toml")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting; repeatable."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """How often each profile saw each title over the last year: batch, bulk load, serving.

    Data goes to stdout, messages to stderr; every verb takes --json, --config and --set.

    Exit codes: 0 done, 1 unexpected, 2 usage, 3 something to install, 4 corrupt data, 5 too early,
    6 audit failed, 7 refused, 8 the server's answer, 130 interrupted.
    """
    ctx.obj = Invocation(config, tuple(set_ or ()))


if __name__ == "__main__":
    main()
