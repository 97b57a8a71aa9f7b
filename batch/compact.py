"""`impressions compact`: a year of raw impressions becomes one published generation of ema.

One argument decides everything, the cutover; the clock is never asked.

    1. ready       raw is complete up to the cutover and every slot of the window is closed
    2. pin         the window as a branch of raw, its source tagged
                   batch/compacting/window_branch.py
    3. aggregate   one pass without an Exchange, onto an audit branch    batch/rules/aggregate.py
    4. audit       on that branch, before anybody can read it            batch/compacting/audits.py
    5. publish     sign, fast-forward main, tag gen_<date>               batch/lake/generations.py

The same date again is a success that changes nothing, as long as the window's content is the same;
another content is never published under the same name. Killed anywhere, a second run finishes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from batch.compacting import audits, refs
from batch.compacting.window_branch import Survey, pin, survey
from batch.lake import generations, snapshots, tables
from batch.lake.generations import Generation, History
from batch.lake.imported_until import history_until_ms
from batch.spark.progress import stages
from impressions.core.errors import AuditFailed, NotReady, Refused
from impressions.core.slot import format_utc, parse_logical_date
from impressions.core.spec import Spec
from impressions.formats.generation_paths import generation_id, ref_name
from impressions.process.command import DryRun, Json, run, verb
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings
from impressions.settings.sections import Audits
from impressions.terminal.console import human_time, warn
from impressions.terminal.report import RunReport, start_report

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyspark.sql import DataFrame, SparkSession


@verb
def command(
    settings: Settings,
    logical_date: Annotated[
        str, typer.Option(help="The cutover: a UTC date, or a slot's start; exclusive.")
    ],
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Compute it again, compare, publish nothing.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Aggregate the year before a date, audit it and publish it as a generation.

    impressions compact --logical-date 2026-11-15

    impressions compact --logical-date 2026-11-15 --recompute
    """
    from batch.spark.session import using_spark

    cutover_ms = parse_logical_date(logical_date, settings.spec)
    report = start_report("compact", {"logical_date": logical_date, "recompute": recompute})
    with using_spark(settings, f"compact {generation_id(cutover_ms)}") as spark:
        job = Job(spark, settings, cutover_ms, report)
        if recompute:
            recompute_published(job)
        else:
            compact(job, dry_run=dry_run)
    report.emit(json=json, summary=_summary(report))


@dataclass(frozen=True)
class Job:
    """What every step of one run knows."""

    spark: SparkSession
    settings: Settings
    cutover_ms: int
    report: RunReport

    @property
    def raw(self) -> str:
        return tables.full_name(self.settings, tables.RAW)

    @property
    def ema(self) -> str:
        return tables.full_name(self.settings, tables.EMA)

    @property
    def limits(self) -> Audits:
        return self.settings.audits

    @property
    def spec(self) -> Spec:
        return self.settings.spec

    @property
    def name(self) -> str:
        return generation_id(self.cutover_ms)


def compact(job: Job, *, dry_run: bool = False) -> RunReport:
    """Compute, audit and publish the generation, unless it is published already.

    Raises:
        NotReady: raw does not reach the cutover, or a slot is open.
        Refused: the date was published with another content, or main is past it.
        AuditFailed: main is untouched and the audit branch is kept.
    """
    hint = "impressions land --from-files PATH... --map FILE"
    raw = tables.require(job.settings, tables.RAW, hint)
    if not dry_run:
        tables.create_if_missing(job.settings, tables.EMA)
    known = _history(job)
    if not dry_run:
        known = generations.heal(job.spark, job.ema, known)
    window = _survey_main(job, raw)
    if generation := known.of(job.cutover_ms):
        return _already(job, generation, window)
    _refuse_earlier(job, known)
    _require_closed(job, window)
    if dry_run:
        return _report(job, "would compute", window)
    with stages(job.spark, f"aggregate {job.name}"):
        source, rows = compute(job, window)
    with stages(job.spark, f"audit {job.name}"):
        findings, facts = audit(job, source, rows, known)
    _sign(job, window, findings, facts)
    snapshot_id = generations.publish(job.spark, job.ema, job.cutover_ms)
    return _report(job, "published", window, snapshot_id)


def compute(job: Job, window: Survey) -> tuple[DataFrame, DataFrame]:
    """Pin the window and write its aggregates to the audit branch; returns both as tables."""
    from batch.rules.aggregate import aggregate, exchanges

    refs.set_tag(job.spark, job.raw, ref_name("src", job.cutover_ms), at=window.source_id)
    source = job.spark.table(pin(job.spark, job.settings, window, job.cutover_ms))
    failpoint("after-window")
    rows = aggregate(source, job.cutover_ms, job.spec)
    job.report.extra["exchanges"] = count = exchanges(rows)
    if count:
        warn(f"the plan shuffles {count} times; expected 0: is raw partitioned by shard?")
    branch = generations.write(rows, job.ema, job.cutover_ms, _properties(job, window))
    return source, job.spark.table(branch)


def audit(
    job: Job, source: DataFrame, rows: DataFrame, known: History
) -> tuple[list[audits.Finding], audits.Facts]:
    """Judge the audit branch; findings go into the report before anything is raised.

    Raises:
        AuditFailed: naming the audits, what they found and expected.
    """
    from batch.compacting import audit_facts, audit_sample

    job.report.extra["audits"] = shown = []
    branch = ref_name("audit", job.cutover_ms)
    hint = (
        f"its rows are kept in branch {branch} of {job.ema} for {refs.BRANCH_DAYS} days; "
        f"drop it with: {refs.drop_statement(job.ema, branch)}"
    )
    columns = [(field.name, field.dataType.simpleString()) for field in rows.schema.fields]
    schema = audits.schema(columns, list(tables.ema_columns(job.spec).items()))
    shown.append(asdict(schema))
    audits.require_ok([schema], job.name, hint)
    earlier = known.before(job.cutover_ms, job.limits.volume_generations)
    impressions = [generation.totals["impressions"] for generation in earlier]
    facts = audit_facts.gather(
        source, rows, job.cutover_ms, job.settings.partitions, impressions, job.spec, job.limits
    )
    sample = audit_sample.recompute(source, rows, job.cutover_ms, job.spec, job.limits)
    findings = audits.judge(facts, sample, job.spec, job.limits)
    shown.extend(map(asdict, findings))
    audits.require_ok(findings, job.name, hint)
    return [schema, *findings], facts


def recompute_published(job: Job) -> RunReport:
    """Compute a published generation again from the raw snapshot it names; publish nothing.

    Raises:
        NotReady: there is no such generation, or its source is gone.
        AuditFailed: the result differs; the audit branch is kept.
    """
    from batch.compacting.compare import SAME_SUM, compare

    generation = _history(job).of(job.cutover_ms)
    if generation is None:
        raise NotReady(
            f"generation {job.name} is not published, so there is nothing to compare with",
            hint=f"impressions compact --logical-date {job.name}",
        )
    window = _survey_source(job, generation)
    with stages(job.spark, f"recompute {job.name}"):
        _, rows = compute(job, window)
        old = job.spark.read.option("versionAsOf", str(generation.snapshot_id)).table(job.ema)
        found = compare(old, rows, job.spec)
    job.report.extra["difference"] = asdict(found)
    branch = ref_name("audit", job.cutover_ms)
    if not found.same:
        raise AuditFailed(
            f"generation {job.name}: computed again, {found.unpaired} keys and {found.unequal} "
            f"integers differ and sums by up to {found.largest:.1e}, expected 0, 0 and at most "
            f"{SAME_SUM:.0e}",
            hint=f"compare branch {branch} of {job.ema} with tag {ref_name('gen', job.cutover_ms)}",
            reason="recompute_differs",
        )
    refs.drop_branch(job.spark, job.ema, branch)
    return _report(job, "recomputed, the same", window, generation.snapshot_id)


def _history(job: Job) -> History:
    return generations.history(tables.find(job.settings, tables.EMA))


def _survey_main(job: Job, raw: Table) -> Survey:
    """The window in raw's newest snapshot, which reaches the cutover. Raises NotReady."""
    now = snapshots.state(raw)
    through_ms = now.valid_through_ms
    if now.snapshot_id is None or through_ms is None or through_ms < job.cutover_ms:
        reach = "nowhere yet" if through_ms is None else f"up to {format_utc(through_ms)}"
        raise NotReady(
            f"raw is complete {reach}, expected at least {format_utc(job.cutover_ms)}",
            hint="land what is missing; if nothing is, run the last land again with "
            f"--valid-through {format_utc(job.cutover_ms)}",
            reason="not_valid_through",
        )
    return survey(raw, now.snapshot_id, job.cutover_ms, job.spec)


def _survey_source(job: Job, generation: Generation) -> Survey:
    """The window in the snapshot that a generation was computed from."""
    raw = tables.require(job.settings, tables.RAW, hint="impressions land")
    if generation.source_id not in snapshots.by_id(raw):
        raise NotReady(
            f"snapshot {generation.source_id} of {job.raw}, from which {job.name} was computed, "
            "has expired",
            hint=f"it is kept for {refs.TAG_DAYS} days by tag {ref_name('src', job.cutover_ms)}",
            reason="source_expired",
        )
    window = survey(raw, generation.source_id, job.cutover_ms, job.spec)
    return _same_content(job, generation, window)


def _already(job: Job, generation: Generation, window: Survey) -> RunReport:
    """The date is published: finished what was left, or refused if the content is another."""
    _same_content(job, generation, window)
    job.report.note(f"generation {job.name} is already published, nothing to do")
    return _report(job, "already published", window, generation.snapshot_id)


def _same_content(job: Job, generation: Generation, window: Survey) -> Survey:
    if window.digest == generation.window_digest:
        return window
    raise Refused(
        f"generation {job.name} was published from a window with digest "
        f"{generation.window_digest[:16]}, raw now has {window.digest[:16]}: a different table "
        "state is never published under the same name",
        hint="what changed since is in the next generation: compact a later date",
        reason="window_changed",
    )


def _refuse_earlier(job: Job, known: History) -> None:
    if known.main is not None and known.main.cutover_ms > job.cutover_ms:
        raise Refused(
            f"main of {job.ema} is at generation {known.main.name}, later than {job.name}: "
            "generations are published in order",
            hint=f"compact a date after {known.main.name}",
            reason="earlier_date",
        )


def _require_closed(job: Job, window: Survey) -> None:
    if not window.open_slots:
        return
    count, names = len(window.open_slots), [human_time(ms) for ms in window.open_slots[:5]]
    more = f" and {count - len(names)} more" if count > len(names) else ""
    raise NotReady(
        f"{count} of {len(window.slots)} slots before {format_utc(job.cutover_ms)} are open: "
        f"{', '.join(names)}{more}; expected all closed",
        hint="impressions close",
        reason="open_slots",
    )


def _properties(job: Job, window: Survey) -> dict[str, str]:
    """What both commits of a generation say about where it comes from."""
    return {
        snapshots.RUN_ID: job.report.run_id,
        generations.CUTOVER: str(job.cutover_ms),
        generations.SOURCE: str(window.source_id),
        generations.WINDOW: window.digest,
        generations.SPEC: job.spec.fingerprint,
    }


def _sign(job: Job, window: Survey, findings: list[audits.Finding], facts: audits.Facts) -> None:
    sums = audits.totals(facts.ema, job.spec)
    job.report.extra["totals"] = sums
    job.report.counts["entries"] = sum(facts.entries.values())
    properties = _properties(job, window)
    properties |= {generations.TOTAL + name: repr(value) for name, value in sums.items()}
    properties |= {generations.AUDIT + finding.name: finding.found for finding in findings}
    raw = tables.require(job.settings, tables.RAW, hint="impressions land")
    until_ms = history_until_ms(raw, window.source_id, job.cutover_ms)
    properties[generations.HISTORY] = str(until_ms)
    generations.sign_off(job.spark, job.ema, job.cutover_ms, properties)


def _report(job: Job, status: str, window: Survey, ema_id: int | None = None) -> RunReport:
    report = job.report
    report.changed = status == "published"
    report.counts |= {"slots": len(window.slots), "files": window.files, "rows": window.rows}
    report.snapshots |= {"raw": window.source_id, "ema": ema_id}
    report.extra |= {
        "generation": job.name,
        "cutover_ms": job.cutover_ms,
        "status": status,
        "window": {"digest": window.digest, "outside_files": window.outside},
    }
    return report


def _summary(report: RunReport) -> str:
    counts = report.counts
    text = (
        f"{report.extra['generation']}: {report.extra['status']}; "
        f"{counts['rows']} rows of raw in {counts['slots']} slots"
    )
    if "entries" in counts:
        text += f" -> {counts['entries']} entries, {len(report.extra['audits'])} audits passed"
    return text


if __name__ == "__main__":
    run(command)
