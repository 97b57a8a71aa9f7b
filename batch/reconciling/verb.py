"""`impressions reconcile`: raw against what a server answers, and the events that differ.

A plain process beside the system: it reads raw, the topic and the server, and changes nothing.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from impressions.clock import now_ms
from impressions.core.errors import AuditFailed, CorruptData, Refused, UsageError
from impressions.core.slot import parse_logical_date
from impressions.process.asked_server import Address, TlsCa, TokenFile, asked
from impressions.process.command import Json, run, verb
from impressions.settings.model import Settings
from impressions.terminal.console import emit, say
from impressions.terminal.report import start_run

if TYPE_CHECKING:
    from batch.reconciling.round import Choose, Round
    from impressions.client import ImpressionsClient

_SAMPLE = 100
_ROUND = 200


@verb(job="reconcile")
def command(
    settings: Settings,
    profile: Annotated[
        list[int] | None,
        typer.Option("--profile", help="This profile; repeatable.", show_default=False),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            min=1,
            help="So many profiles; with --every, in each round.",
            show_default=f"{_SAMPLE}, {_ROUND} with --every",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            help="Of the sample: the same one again.",
            show_default="random, printed",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="DATE",
            help="Also compare raw with the topic's records from there on; a sample is of profiles "
            "with events since then.",
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            "--every",
            metavar="10m",
            help="A round every 30s, 10m, 1h ... until SIGTERM, through all profiles.",
        ),
    ] = None,
    address: Address = None,
    timeout_s: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 10.0,
    token_file: TokenFile = None,
    tls_ca: TlsCa = None,
    json: Json = False,
) -> None:
    """Compare raw and topic with what a server answers, and name the events that differ.

    \b
    Examples:
      impressions reconcile                         a random sample
      impressions reconcile --profile 42 --json
      impressions reconcile --sample 1000 --seed 7 --address host:50051
      impressions reconcile --profile 42 --since 2026-11-15
      impressions reconcile --every 10m             a service: all profiles in turn

    It changes nothing. Each difference names the events behind it: source, partition, offset, place
    of the device flush, log_id, times, and what topic, raw, generation and stream have of each.

    Exit code 0 if nothing differs, 6 if anything does; 4 or 7 where nothing does but profiles could
    not be compared: a file of raw is damaged, or they have too many events.
    """
    from batch.landing.loop import parse_every
    from impressions.compiled.flushes import reader

    _check_flags(profile, sample, seed, since, every)
    every_s = parse_every(every) if every else 0
    since_ms = parse_logical_date(since, settings.spec) if since else None
    reader()  # compiled before a server is asked
    with asked(settings, address, timeout_s, token_file, tls_ca) as client:
        if every_s:
            _service(settings, client, every_s, sample or _ROUND, json)
            return
        choose, arguments = _chosen(settings, profile, sample, seed, since_ms)
        done = _round(settings, client, choose, since_ms, arguments | {"since": since}, json)
    if done.findings:
        raise typer.Exit(AuditFailed.exit_code)
    if done.skipped:
        raise typer.Exit(_exit_of(done.skipped[0].reason))


def _exit_of(reason: str) -> int:
    """Of a profile that could not be compared."""
    return Refused.exit_code if reason == "too_many_events" else CorruptData.exit_code


def _check_flags(
    profile: list[int] | None,
    sample: int | None,
    seed: int | None,
    since: str | None,
    every: str | None,
) -> None:
    """Raises UsageError for flags that do not go together."""
    of_sample = {"--sample": sample, "--seed": seed}
    alone = {"--profile": profile, "--seed": seed, "--since": since}
    others = alone if every else of_sample if profile else {}
    if foreign := [flag for flag, value in others.items() if value is not None]:
        raise UsageError(f"{', '.join(foreign)}: not together with "
                         f"{'--every' if every else '--profile'}")  # fmt: skip


def _chosen(
    settings: Settings,
    profile: list[int] | None,
    sample: int | None,
    seed: int | None,
    since_ms: int | None,
) -> tuple[Choose, dict[str, object]]:
    """How profiles are chosen, and the arguments of the report."""
    from batch.reconciling import choosing

    if profile:
        if wrong := [p for p in profile if not 0 <= p < 1 << 63]:
            raise UsageError(f"--profile {wrong[0]}: expected 0..2^63-1")
        of_profiles = choosing.named(profile, settings.partitions)
        return lambda raw, shards: of_profiles, {"profile": profile}
    n, drawn = sample or _SAMPLE, secrets.randbelow(1 << 31) if seed is None else seed
    say(f"a sample of {n:,} profiles, --seed {drawn}")
    return (
        lambda raw, shards: choosing.sampled(raw, shards, n, drawn, since_ms or 0),
        {"sample": n, "seed": drawn},
    )


def _round(
    settings: Settings,
    client: ImpressionsClient,
    choose: Choose,
    since_ms: int | None,
    arguments: dict[str, object],
    json: bool,
) -> Round:
    """One round and its report."""
    from batch.reconciling.outcome import outcome_of, summary
    from batch.reconciling.round import run_round

    this = start_run("reconcile", arguments)
    done = run_round(settings, client, now_ms, choose, since_ms)
    report = this.report(outcome_of(done))
    report.emit(json=json, summary=summary(report, done))
    return done


def _service(
    settings: Settings, client: ImpressionsClient, every_s: float, n: int, json: bool
) -> None:
    from batch.reconciling.service import serve

    def one_round(choose: Choose) -> Round:
        return _round(settings, client, choose, None, {"sample": n, "every_s": every_s}, json)

    def started(address: str) -> None:
        emit({"metrics": address}, json=json,
             table=f"reconciling; metrics on http://{address}/metrics")  # fmt: skip

    serve(settings, now_ms, every_s, n, one_round, started)


if __name__ == "__main__":
    run(command)
