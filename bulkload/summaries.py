"""What a verb of `impressions bulkload` did, in words and tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impressions.terminal.console import Table, human_age, human_bytes, human_time

if TYPE_CHECKING:
    from bulkload.gc import GcReport
    from bulkload.load import LoadReport
    from bulkload.swap import Swap
    from bulkload.verify import VerifyReport
    from impressions.status.facts import GenerationStatus, HostStatus, Listed


def of_listing(listed: Sequence[Listed]) -> Table:
    columns = ["generation", "cutover", "size", "of this host", "profiles", "entries", "here"]
    return Table([*columns, "fits"], [_listed(item) for item in listed])


def _listed(item: Listed) -> list[object]:
    marks = {"active": item.active, "loaded": item.loaded, "rolled back": item.rolled_back}
    return [
        item.generation,
        human_time(item.cutover_ms),
        "-" if item.size_bytes is None else human_bytes(item.size_bytes),
        "-" if item.host_bytes is None else human_bytes(item.host_bytes),
        item.profiles,
        item.entries,
        ", ".join(mark for mark, is_set in marks.items() if is_set) or "-",
        "yes" if item.fits else f"{item.state}: {item.problem}",
    ]


def of_load(report: LoadReport) -> str:
    if report.action == "already_loaded":
        return f"{report.generation} is loaded already: nothing to do"
    return (
        f"{report.action.replace('_', ' ')} {report.generation}: {report.files} files, "
        f"{human_bytes(report.size_bytes)}, {report.profiles} profiles "
        f"of {len(report.shards)} shards in {human_age(report.seconds)}"
    )


def of_check(report: VerifyReport) -> str:
    what = f"{report.generation} at {report.where}"
    if report.ok:
        return (
            f"ok: {what}: {report.files} files, {human_bytes(report.size_bytes)}, "
            f"{report.profiles} profiles in {human_age(report.seconds)}"
        )
    lines = [f"  {problem.reason}: {problem.message}" for problem in report.problems]
    return "\n".join([f"damaged: {what}", *lines])


def of_swap(swap: Swap) -> str:
    if swap.action == "already_active":
        return f"{swap.generation} is active already: nothing to do"
    return f"{swap.action.replace('_', ' ')}: {swap.old or 'none'} -> {swap.generation}"


def of_host(host: HostStatus) -> Table:
    columns = ["generation", "role", "state", "cutover", "exact", "size", "profiles", "shards"]
    return Table([*columns, "seam"], [_on_host(item) for item in host.generations])


def _on_host(item: GenerationStatus) -> list[object]:
    flagged = "no, past its horizon" if item.past_horizon else ""
    role = "active" if item.active else "previous" if item.previous else "-"
    return [
        item.generation,
        f"{role}, rolled back" if item.rolled_back else role,
        item.state,
        f"{item.age} ago",
        flagged or f"until {human_time(item.exact_until_ms)}",
        human_bytes(item.size_bytes),
        item.profiles,
        len(item.shards),
        str(item.seam or "-"),
    ]


def of_gc(report: GcReport, verb: str) -> Table | str:
    rows = [[r.name, human_bytes(r.size_bytes), r.why] for r in report.removed]
    return Table([verb, "size", "why"], rows) if rows else "nothing to remove"
