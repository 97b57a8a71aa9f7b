"""What a verb of this host did, as the record of its run holds it (impressions/history)."""

from __future__ import annotations

from bulkload.gc import GcReport
from bulkload.load import LoadReport
from bulkload.swap import Swap
from bulkload.verify import VerifyReport
from impressions.terminal.report import Outcome


def of_load(report: LoadReport) -> Outcome:
    counts = {name: getattr(report, name) for name in ("files", "size_bytes", "profiles")}
    extra = {"generation": report.generation, "action": report.action}
    return Outcome(report.action == "loaded", counts, extra=extra)


def of_check(report: VerifyReport) -> Outcome:
    counts = {name: getattr(report, name) for name in ("files", "size_bytes", "profiles")}
    return Outcome(
        counts=counts | {"problems": len(report.problems)},
        extra={"generation": report.generation, "where": report.where},
    )


def of_swap(swap: Swap) -> Outcome:
    extra = {"generation": swap.generation, "old": swap.old, "action": swap.action}
    return Outcome(swap.action in ("activated", "rolled_back"), extra=extra)


def of_gc(report: GcReport) -> Outcome:
    counts = {"removed": len(report.removed), "size_bytes": report.size_bytes}
    return Outcome(bool(report.removed), counts, extra={"kept": list(report.kept)})
