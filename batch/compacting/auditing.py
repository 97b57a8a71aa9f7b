"""All audits of an audit branch, in their order, and their results signed onto it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.compacting import audit_sample, audits, publishing
from batch.compacting.computing import Computed, origin
from batch.compacting.facts import added
from batch.compacting.incremental import comparing
from batch.compacting.job import Compacting
from batch.compacting.window import Window
from batch.lake import generations, incremental_record, refs, snapshots, tables
from batch.lake.columns import columns_there, ema_columns
from batch.lake.data_files import live_files
from batch.lake.generations import History
from batch.lake.imported_until import newest_of_files
from batch.lake.incremental_record import Record
from impressions.core.slot import format_utc
from impressions.formats.generation_paths import ref_name
from impressions.terminal.console import warn

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Audited:
    """A branch that passed.

    Attributes:
        totals: measure -> sum over the branch.   entries: its rows.
    """

    findings: tuple[audits.Finding, ...]
    totals: dict[str, float]
    entries: int


def audit(
    job: Compacting, computed: Computed, window: Window, ema: Table, known: History
) -> Audited:
    """Judges the audit branch.

    Raises:
        AuditFailed: naming the audits that failed, what they found and expected.
    """
    branch = ref_name("audit", job.cutover_ms)
    hint = (
        f"its rows are kept in branch {branch} of {job.ema} for {refs.BRANCH_DAYS} days; "
        f"drop it with: ALTER TABLE {job.ema} DROP BRANCH IF EXISTS `{branch}`"
    )
    columns = columns_there(ema)
    schema = audits.schema(columns, list(ema_columns(job.spec).items()))
    audits.require_ok([schema], job.name, hint)
    earlier = known.before(job.cutover_ms, job.limits.volume_generations)
    impressions = [generation.totals["impressions"] for generation in earlier]
    files = live_files(ema, snapshots.refs(ema)[branch])
    sample = audit_sample.recompute(job, window, ema, files)
    whole = added(computed.facts.values(), job.spec)
    facts = audits.Facts(
        raw={shard: one.raw for shard, one in computed.facts.items()},
        ema={shard: one.ema for shard, one in computed.facts.items()},
        entries={shard: one.entries for shard, one in computed.facts.items()},
        bad_values=whole.bad_values,
        shrinking=whole.shrinking,
        repeated=whole.repeated,
        misplaced=whole.misplaced,
        earlier_impressions=impressions,
    )
    findings = audits.judge(facts, sample, job.spec, job.limits)
    if drift := comparing.finding(computed.compared):
        again = f"impressions compact --logical-date {job.name} --from-scratch"
        audits.require_ok([drift], job.name, f"compute all of it from raw: {again}")
        findings.append(drift)
    audits.require_ok(findings, job.name, hint)
    return Audited((schema, *findings), dict(whole.ema), whole.entries)


def sign(
    job: Compacting,
    window: Window,
    ema: Table,
    audited: Audited,
    accepted: Sequence[str] = (),
    record: Record | None = None,
) -> None:
    """Commits what the audits found to the branch; without it, it is no generation.

    Args:
        accepted: findings about its days that somebody accepted, a line each.
        record: of shards that were made from the generation before.
    """
    raw = tables.require(job.settings, tables.RAW, hint="impressions land")
    until_ms = _history_until_ms(raw, window.source_id, job.cutover_ms)
    properties = (
        origin(job, window)
        | {generations.TOTAL + name: repr(value) for name, value in audited.totals.items()}
        | {generations.AUDIT + finding.name: finding.found for finding in audited.findings}
        | {generations.HISTORY: str(until_ms)}
        | incremental_record.encode(record or Record())
    )
    if accepted:
        properties[generations.ACCEPTED] = json.dumps(list(accepted))
    publishing.sign_off(ema, job.cutover_ms, properties)


def _history_until_ms(raw: Table, snapshot_id: int | None, cutover_ms: int) -> int:
    """Just after the newest row of any file, where that is not before the cutover; else 0.

    Such rows are in no answer until the next generation, for the stream never saw them; live
    answers say so.
    """
    newest_ms = newest_of_files(raw, snapshot_id)
    if newest_ms is None or newest_ms < cutover_ms:
        return 0
    warn(
        f"files brought rows ingested up to {format_utc(newest_ms)}: those from "
        f"{format_utc(cutover_ms)} on are in no answer until the next generation; live answers "
        "say so (deltas_missing)"
    )
    return newest_ms + 1
