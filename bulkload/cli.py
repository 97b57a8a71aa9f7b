"""`impressions bulkload`: the verbs for a serving host, one function each.

    sync                                                  all of it, by a timer
    list -> load -> (verify) -> activate -> status        a new generation, step by step
    rollback, gc, heal                                    go back; free disk space; repair

Each verb calls the module of its name and prints what that returns (summaries.py). If one is
killed, run it again: it finishes the work or starts it over. None asks a question.
"""

from __future__ import annotations

from typing import Annotated

import typer

from bulkload import summaries
from impressions.clock import now_ms
from impressions.formats.generation_paths import cutover_of
from impressions.process.command import DryRun, Json, new_app, verb
from impressions.settings.model import Settings
from impressions.terminal.console import Table, emit, human_bytes, human_time, progress, say, warn
from impressions.terminal.listening import tell
from impressions.terminal.report import Outcome, start_run

app = new_app(help="Install generations on this host: list, load, activate, roll back.")

Generation = Annotated[
    str, typer.Argument(metavar="GENERATION", help='Such as 2026-11-15, or "latest".')
]
OptionalGeneration = Annotated[
    str | None, typer.Argument(metavar="GENERATION", help="Such as 2026-11-15.")
]


def _name_strays(settings: Settings) -> None:
    """Warn of strays among this host's generations."""
    from bulkload.host import Host
    from bulkload.host_status import NOT_OURS
    from bulkload.own_directories import strays

    for path in strays(Host(settings.host_dir).paths):
        warn(f"{path}: {NOT_OURS}")


@app.command("list")
@verb
def list_published(settings: Settings, json: Json = False) -> None:
    """Show what is published, and whether it fits this host.

    \b
    Example:
      impressions bulkload list --json
    """
    from bulkload.listing import listing

    listed = listing(settings)
    emit(listed, json=json, table=summaries.of_listing(listed))
    if not listed:
        say(f"{settings.generations}: nothing is published; impressions export writes there")
    _name_strays(settings)


@app.command("load")
@verb(job="load")
def load_generation(
    settings: Settings,
    generation: Generation,
    dry_run: DryRun = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Copy it again although it is loaded, for example after verify found damage. "
            "The old copy is replaced when the new one is checked.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Copy this host's shards of a generation to this host, and verify every byte.

    If the generation is loaded already, nothing is done, and that is a success. If it is refused,
    nothing is changed. "latest" is the newest complete one that was not rolled back on this host.
    Load does not activate.

    \b
    Examples:
      impressions bulkload load latest
      impressions bulkload load 2026-11-15 --again
    """
    from bulkload.load import load
    from bulkload.outcomes import of_load

    report = load(settings, generation, dry_run=dry_run, again=again)
    tell(of_load(report))
    emit(report, json=json, table=summaries.of_load(report))
    _name_strays(settings)
    if report.action == "loaded":
        say(f"next: impressions bulkload activate {report.generation}")


@app.command("verify")
@verb(job="check")
def verify_generation(
    settings: Settings,
    generation: OptionalGeneration = None,
    published: Annotated[
        bool, typer.Option("--published", help="Check the published files instead of this host's.")
    ] = False,
    json: Json = False,
) -> None:
    """Read every byte and every row again; exit 4 (this host) or 7 (published) if any is wrong.

    Without a name: the active generation, or the newest published one. A server may run meanwhile.

    \b
    Examples:
      impressions bulkload verify
      impressions bulkload verify 2026-11-15 --published
    """
    from bulkload.outcomes import of_check
    from bulkload.verify import verify_host, verify_published

    check = verify_published if published else verify_host
    report = check(settings, generation)
    tell(of_check(report))
    emit(report, json=json, table=summaries.of_check(report))
    _name_strays(settings)
    if not report.ok:
        repair = f"impressions bulkload load {report.generation} --again"
        rewrite = f"impressions export --generation {report.generation} --force"
        say(f"hint:  {rewrite if published else repair}")
        raise typer.Exit(report.exit_code)


@app.command("activate")
@verb(job="activate")
def activate_generation(
    settings: Settings,
    generation: Generation,
    even_if_rolled_back: Annotated[
        bool,
        typer.Option(
            "--even-if-rolled-back",
            help="Activate it although it was rolled back here: its answers are served again, and "
            '"latest" may choose it again.',
        ),
    ] = False,
    accept_difference: Annotated[
        str | None,
        typer.Option(
            "--accept-difference",
            metavar="REASON",
            help="Activate it although it answers other than the active one; the reason is kept, "
            "and status shows it.",
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make a loaded generation the active one: servers switch to it within serving.poll_s.

    "latest" is the newest loaded one that was not rolled back. No server is restarted. Before the
    swap some profiles are read from both, with the deltas of this host. If answers differ, exit 7.

    \b
    Examples:
      impressions bulkload activate latest
      impressions bulkload activate 2026-11-15 --dry-run
      impressions bulkload activate 2026-11-15 --accept-difference "October was imported again"
    """
    from bulkload.activate import activate
    from bulkload.outcomes import of_swap

    swap = activate(
        settings,
        generation,
        even_if_rolled_back=even_if_rolled_back,
        accept_difference=accept_difference,
        dry_run=dry_run,
    )
    tell(of_swap(swap))
    emit(swap, json=json, table=summaries.of_swap(swap))
    for line in swap.seam.lines() if swap.seam and not json else ():
        say(line)
    if swap.action == "activated" and (cutover_ms := cutover_of(swap.generation)) > now_ms():
        warn(f"requests for now are refused until its cutover, {human_time(cutover_ms)}")
    if swap.action == "activated" and swap.previous:
        say(f"to go back to {swap.previous}: impressions bulkload rollback")


@app.command("rollback")
@verb(job="rollback")
def roll_back(
    settings: Settings,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="GENERATION", help="Where to go back to.", show_default="the previous"
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Go back to the generation before, and mark the one that is left as rolled back.

    If you run it twice, it goes back by two, as far as older ones are loaded (host.keep). "latest"
    never selects a marked generation again.

    \b
    Examples:
      impressions bulkload rollback
      impressions bulkload rollback --to 2026-11-08
    """
    from bulkload.outcomes import of_swap
    from bulkload.rollback import rollback

    swap = rollback(settings, to, dry_run=dry_run)
    tell(of_swap(swap))
    emit(swap, json=json, table=summaries.of_swap(swap))
    if not dry_run:
        say(f"marked as rolled back: {', '.join(swap.marked)}")
        say(f"to undo: impressions bulkload activate {swap.old} --even-if-rolled-back")


@app.command("status")
@verb
def show_status(settings: Settings, json: Json = False) -> None:
    """Show which generation is active, which others are loaded, and which loads are unfinished.

    Exit 4 if the pointer or a generation is damaged; the status is printed in any case.

    \b
    Example:
      impressions bulkload status
    """
    from bulkload.host_status import status

    host = status(settings)
    emit(host, json=json, table=summaries.of_host(host))
    if not json:
        say(f"active: {host.active or 'none'}; {human_bytes(host.free_bytes)} free")
        for item in host.unfinished:
            state = "under way" if item.running else "stopped"
            say(f"loading/{item.name}: {state}, {human_bytes(item.size_bytes)}")
        for message, hint in host.problems:
            warn(f"{message}\nhint:  {hint}")
    if host.damaged:
        raise typer.Exit(4)


@app.command("gc")
@verb(job="gc")
def collect(
    settings: Settings,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            help="Usable generations that stay; a rollback can reach no other.",
            show_default="host.keep",
        ),
    ] = None,
    generation: Annotated[
        str | None,
        typer.Option(
            "--generation",
            metavar="GENERATION",
            help="Remove this one from this host; it can be loaded again while it is published.",
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove old generations and files of stopped loads; never the active one or its backup.

    \b
    Examples:
      impressions bulkload gc --dry-run
      impressions bulkload gc --keep 2
    """
    from bulkload.gc import gc
    from bulkload.outcomes import of_gc

    with progress("remove", unit="time"):
        report = gc(settings, keep, generation=generation, dry_run=dry_run)
    tell(of_gc(report))
    word = "would remove" if dry_run else "removed"
    emit(report, json=json, table=summaries.of_gc(report, word))
    _name_strays(settings)
    say(f"{word} {human_bytes(report.size_bytes)}; kept: {', '.join(report.kept) or 'none'}")


@app.command("sync")
@verb
def synchronise(settings: Settings, dry_run: DryRun = False, json: Json = False) -> None:
    """Bring this host to the newest generation: load, check, activate, gc, as far as needed.

    For a timer; again and again it does nothing. A host that missed weeks goes straight to the
    newest one. What is rotten is loaded again; what is refused is named, and does not keep the
    rest from being done. It never goes back to an older generation.

    \b
    Examples:
      impressions bulkload sync
      impressions bulkload sync --dry-run
    """
    from impressions.steps import report, running
    from impressions.steps.asked import Asked
    from impressions.steps.host import STEPS

    run = start_run("sync", {"dry_run": dry_run})
    asked = Asked(settings, now_ms, dry_run)
    gone = running.go(STEPS, asked, keeps_idle=False, said=report.say_gone)
    _name_strays(settings)
    report.tell(run, gone, json=json)


@app.command("heal")
@verb(job="check")
def heal_generation(
    settings: Settings,
    generation: OptionalGeneration = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Read every byte; a rotten generation is loaded again from its published copy.

    Without a name: every loaded one. The rotten copy stays until the new one is verified, and stays
    if the published one is rotten too. Servers follow by themselves.

    \b
    Examples:
      impressions bulkload heal
      impressions bulkload heal 2026-11-15 --dry-run
    """
    from bulkload.heal import heal
    from bulkload.sync import checked_here

    names = [generation] if generation else checked_here(settings)
    healings = [heal(settings, name, dry_run=dry_run) for name in names]
    healed = sum(one.action == "healed" for one in healings)
    tell(Outcome(healed > 0, {"generations": len(healings), "healed": healed}))
    rows = [[h.generation, h.action.replace("_", " "), h.first] for h in healings]
    emit(healings, json=json, table=Table(["generation", "", "found"], rows))
    if not healings and not json:
        say("no generation is loaded on this host")
