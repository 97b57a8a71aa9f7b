"""Sync: this host gets the newest generation, whole and active; what a timer runs on every host.

The steps of impressions/steps/host.py. A host that was down for weeks goes straight to the newest
one: a generation holds the whole year, so none between is needed. What is refused or rotten is
said, and does not keep the rest from being done:

    the newest published one is bad     the next one that is newer than what answers is taken
    one that is loaded is rotten        it is loaded again; if that is refused, it is never made
                                        active, gc removes nothing, and the run ends with the reason
    the active one is rotten, no other  it stays: servers refuse what they cannot read, answer the
                                        rest
    the store does not answer           what is loaded is checked, and activated if it is newer

It never goes back to an older generation than the active one: that is a person's rollback.
"""

from __future__ import annotations

from dataclasses import asdict

from bulkload.activate import activate
from bulkload.check import is_due, problems_of
from bulkload.gc import gc
from bulkload.heal import Healing, heal
from bulkload.host import Host
from bulkload.listing import listing
from bulkload.load import LoadReport, load
from bulkload.outcomes import of_gc, of_load, of_swap
from impressions.core.errors import (
    CorruptData,
    ImpressionsError,
    NotReady,
    Refused,
    ServiceError,
)
from impressions.formats.generation_paths import cutover_of
from impressions.history.run_record import HEALED
from impressions.process.recording import event
from impressions.settings.model import Settings
from impressions.status.facts import Listed
from impressions.steps.asked import Asked
from impressions.steps.dates import missed_names
from impressions.steps.step import Done
from impressions.terminal.console import human_bytes, progress, warn
from impressions.terminal.listening import tell
from impressions.terminal.report import Outcome


def load_newest(asked: Asked) -> Done:
    """Load the newest published generation that can be used, if it is newer than what is here."""
    host = Host(asked.settings.host_dir)
    try:
        wanted, left = _candidates(asked, _newest_here(host))
    except ServiceError as error:
        wanted, left = [], error
    for name in wanted:
        try:
            report = load(asked.settings, name, dry_run=asked.dry_run, clock=asked.clock)
        except Refused as error:
            left = left or error
            continue
        except ServiceError as error:
            left = left or error
            break
        return _loaded(asked, report, left)
    here = host.generations.usable()
    if not here:
        raise left or NotReady(
            f"{asked.settings.generations}: holds no generation that this host could load",
            hint="impressions bulkload list",
            reason="nothing_published",
        )
    return Done(f"nothing was loaded beside {here[-1]}", left=left)


def _loaded(asked: Asked, report: LoadReport, left: ImpressionsError | None) -> Done:
    name, is_new = report.generation, report.action != "already_loaded"
    tell(of_load(report))
    if report.action == "would_load":
        asked.would_load.append(name)
    size = human_bytes(report.size_bytes)
    text = {"loaded": f"loaded {name}, {size}", "would_load": f"would load {name}, {size}"}
    line = text.get(report.action, f"{name} is loaded")
    return Done(line, is_new, asdict(report), left)


def _candidates(asked: Asked, here: str) -> tuple[list[str], ImpressionsError | None]:
    """Generations to try, the newest first; and what is wrong with newer ones. A damaged copy of
    the newest one here is for `check_loaded`."""
    wanted: list[str] = []
    left: ImpressionsError | None = None
    host = Host(asked.settings.host_dir)
    for one in reversed(listing(asked.settings, since=here)):
        if one.rolled_back or one.state == "incomplete" or _is_damaged(host, one.generation):
            continue
        if one.fits:
            wanted.append(one.generation)
        elif not wanted:
            left = left or _misfit(one)
    return wanted, left


def _is_damaged(host: Host, name: str) -> bool:
    """Whether the records of a loaded generation are."""
    try:
        host.generations.read(name)
    except CorruptData:
        return True
    except NotReady:
        return False
    return False


def _misfit(one: Listed) -> Refused:
    return Refused(
        f"published generation {one.generation} cannot be used: {one.problem}",
        hint="impressions bulkload list",
        reason="does_not_fit",
    )


def _newest_here(host: Host) -> str:
    """The newest of the active and the loaded ones; nothing older is loaded. Empty: none."""
    return max([*host.generations.usable(), _active(host) or ""])


def _active(host: Host) -> str | None:
    pointer = host.whole_pointer()
    return pointer.generation if pointer else None


def check_loaded(asked: Asked) -> Done:
    """Look at every generation here, and load rotten ones again."""
    names = checked_here(asked.settings)
    read = sum(is_due(asked.settings, name, asked.clock()) for name in names)
    healings = [_checked(asked, name) for name in names]
    changed = [one for one in healings if one.action in ("healed", "would_heal")]
    whole = sum(one.action == "whole" for one in healings)
    said = [f"{whole} whole, every byte of {read} read" if read else f"{whole} whole"]
    said += [f"{one.generation} {one.action.replace('_', ' ')}: {one.first}" for one in changed]
    said += [f"{name} stays rotten" for name in asked.unhealed]
    left = next(iter(asked.unhealed.values()), None)
    report = {"generations": [asdict(one) for one in healings], "unhealed": sorted(asked.unhealed)}
    counts = {
        "generations": len(names), "read": read, "healed": len(changed),
        "rotten": len(asked.unhealed),
    }  # fmt: skip
    tell(Outcome(bool(changed), counts, extra=report))
    did = bool(changed) or (read > 0 and not asked.dry_run)
    return Done("; ".join(said) if names else "nothing is loaded", did, report, left)


def checked_here(settings: Settings) -> list[str]:
    """Generations that must be whole: loaded and not rolled back, and the active one."""
    host = Host(settings.host_dir)
    return sorted({*host.generations.usable(), *filter(None, [_active(host)])})


def _checked(asked: Asked, name: str) -> Healing:
    problems = problems_of(asked.settings, name, asked.clock, dry_run=asked.dry_run)
    if not problems:
        return Healing(name, "whole")
    warn(f"generation {name} on this host is rotten: {problems[0].message}")
    try:
        return heal(asked.settings, name, dry_run=asked.dry_run, clock=asked.clock)
    except (Refused, ServiceError) as error:
        event("unhealed", "rotten generation cannot be loaded again", f"{name}: {error.message}")
        asked.unhealed[name] = CorruptData(
            f"generation {name} on this host is rotten ({problems[0].message}), and cannot be "
            f"loaded again: {error.message}",
            hint=error.hint,
            reason="rotten",
        )
        return Healing(name, "rotten", problems)


def activate_newest(asked: Asked) -> Done:
    """Activate the newest loaded generation that is whole; never an older one than the active."""
    host = Host(asked.settings.host_dir)
    if asked.would_load:
        raise NotReady(f"{asked.would_load[0]} is not loaded yet", reason="not_loaded")
    active = _active(host)
    whole = [name for name in host.generations.usable() if name not in asked.unhealed]
    newest = max(whole, default="")
    if active is not None and newest <= active:
        return Done(f"{active} is active")
    if not newest:
        raise next(iter(asked.unhealed.values()), None) or NotReady(
            "no usable generation is loaded on this host",
            hint="impressions bulkload load latest",
            reason="not_loaded",
        )
    swap = activate(asked.settings, newest, dry_run=asked.dry_run, clock=asked.clock)
    if swap.action == "already_active":  # another run was first
        return Done(f"{newest} is active")
    tell(of_swap(swap))
    if active is not None and not asked.dry_run and (missed := _missed(active, newest)):
        event(HEALED, "host caught up after missed generations", f"{active} -> {newest}: {missed}")
    seam = swap.seam.lines()[:1] if swap.seam else []
    verb = "would activate" if asked.dry_run else "activated"
    line = "; ".join([f"{verb} {swap.old or 'none'} -> {newest}", *seam])
    return Done(line, True, {"old": swap.old, "new": newest, "seam": seam})


def _missed(active: str, newest: str) -> str:
    """Weekly generations between the two, in words."""
    return ", ".join(missed_names(cutover_of(active), cutover_of(newest)))


def collect(asked: Asked) -> Done:
    """Remove what is no longer needed; nothing while a rotten one might be all that is left."""
    if asked.unhealed:
        return Done(f"nothing is removed while {', '.join(sorted(asked.unhealed))} is rotten")
    with progress("remove", unit="time"):
        report = gc(asked.settings, dry_run=asked.dry_run)
    tell(of_gc(report))
    names = ", ".join(one.name for one in report.removed)
    verb = "would remove" if asked.dry_run else "removed"
    line = f"{verb} {names}" if names else "nothing to remove"
    return Done(f"{line}; kept {', '.join(report.kept) or 'none'}", bool(names), asdict(report))
