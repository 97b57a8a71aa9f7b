"""The generations in the aggregate table: written, signed, published, and found again.

    write      rows -> branch audit_<date>, one commit that says what they were computed from
    sign_off   an empty commit on that branch with the results of the audits
    publish    fast-forward main to it -> tag gen_<date> -> drop the branch

A crash between any two of them leaves either an audit branch, which the next run resets, or a main
that lacks its tag, which the next run sets (`heal`). Main never shows rows that were not signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake import commits
from batch.lake.commits import RUN_ID, Snapshot
from batch.spark import generation_refs as refs
from batch.spark.commits import writer
from impressions.core.errors import Refused
from impressions.formats.generation_paths import generation_id, ref_name
from impressions.process.failpoint import failpoint

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyspark.sql import DataFrame, SparkSession

CUTOVER = "impressions.cutover-ms"
SOURCE = "impressions.source-snapshot-id"
WINDOW = "impressions.window-digest"
SPEC = "impressions.spec"
HISTORY = "impressions.history-until-ms"
TOTAL = "impressions.total."
AUDIT = "audit."


@dataclass(frozen=True)
class Generation:
    """A published generation, as its signed snapshot describes it.

    Attributes:
        history_until_ms: see impressions/formats/manifest.py.
        entries: rows.   totals: measure -> undecayed sum.   audits: name -> what was found.
    """

    snapshot_id: int
    cutover_ms: int
    source_id: int
    window_digest: str
    spec_fingerprint: str
    run_id: str
    history_until_ms: int
    entries: int
    totals: Mapping[str, float]
    audits: Mapping[str, str]

    @property
    def name(self) -> str:
        return generation_id(self.cutover_ms)


@dataclass(frozen=True)
class History:
    """All published generations: those with a tag, by cutover, and the one main shows."""

    tagged: Mapping[int, Generation]
    main: Generation | None

    def of(self, cutover_ms: int) -> Generation | None:
        """The generation with this cutover, also if a crash kept it from getting its tag."""
        if self.main is not None and self.main.cutover_ms == cutover_ms:
            return self.tagged.get(cutover_ms, self.main)
        return self.tagged.get(cutover_ms)

    def before(self, cutover_ms: int, count: int) -> list[Generation]:
        """The newest `count` generations with an earlier cutover, newest first."""
        known = {**self.tagged, **({self.main.cutover_ms: self.main} if self.main else {})}
        earlier = sorted((c for c in known if c < cutover_ms), reverse=True)
        return [known[c] for c in earlier[:count]]


def history(ema: Table | None) -> History:
    """What the table's refs and snapshots say; nothing where there is no table."""
    if ema is None:
        return History({}, None)
    snapshots = commits.snapshots(ema)
    tagged, main = {}, None
    for name, snapshot_id in commits.refs(ema).items():
        generation = generation_of(snapshots.get(snapshot_id))
        if generation is None:
            continue
        if name == "main":
            main = generation
        elif name == ref_name("gen", generation.cutover_ms):
            tagged[generation.cutover_ms] = generation
    return History(tagged, main)


def write(rows: DataFrame, ema: str, cutover_ms: int, properties: Mapping[str, str]) -> str:
    """Write rows to the audit branch, which starts again from main; returns the name to read it."""
    from pyspark.sql import functions as F

    branch = ref_name("audit", cutover_ms)
    refs.set_branch(rows.sparkSession, ema, branch)
    name = refs.branch_of(ema, branch)
    writer(rows, name, properties).option("distribution-mode", "none").overwrite(F.lit(True))
    failpoint("after-write")
    return name


def sign_off(spark: SparkSession, ema: str, cutover_ms: int, properties: Mapping[str, str]) -> None:
    """Commit the results of the audits to the audit branch; no row changes."""
    name = refs.branch_of(ema, ref_name("audit", cutover_ms))
    writer(spark.table(name).limit(0), name, properties).append()
    failpoint("after-audit")


def publish(spark: SparkSession, ema: str, cutover_ms: int) -> int:
    """Make the signed audit branch the generation; returns its snapshot."""
    branch, tag = ref_name("audit", cutover_ms), ref_name("gen", cutover_ms)
    try:
        snapshot_id = refs.fast_forward(spark, ema, branch)
    except Exception as error:  # Java's, by way of py4j: only its text says what it is
        if "ancestor" not in str(error):
            raise
        raise Refused(
            f"main of {ema} moved while {generation_id(cutover_ms)} was computed: another compact "
            "published meanwhile",
            hint="run one compact at a time; running this one again starts from the new main",
            reason="main_moved",
        ) from error
    failpoint("after-fast-forward")
    refs.set_tag(spark, ema, tag, at=snapshot_id)
    failpoint("after-tag")
    refs.drop_branch(spark, ema, branch)
    return snapshot_id


def heal(spark: SparkSession, ema: str, found: History) -> History:
    """Finish what a crash left undone after a fast-forward, of whichever date."""
    main = found.main
    if main is None:
        return found
    if main.cutover_ms not in found.tagged:
        refs.set_tag(spark, ema, ref_name("gen", main.cutover_ms), at=main.snapshot_id)
    branch = ref_name("audit", main.cutover_ms)
    # At another snapshot it is a computation that was kept to be looked at.
    if refs.refs(spark, ema).get(branch) == main.snapshot_id:
        refs.drop_branch(spark, ema, branch)
    return History({main.cutover_ms: main, **found.tagged}, main)


def generation_of(commit: Snapshot | None) -> Generation | None:
    """None for a snapshot that is no signed generation."""
    if commit is None or CUTOVER not in commit.summary:
        return None
    said = commit.summary
    audits = {k.removeprefix(AUDIT): v for k, v in said.items() if k.startswith(AUDIT)}
    if not audits:
        return None
    return Generation(
        snapshot_id=commit.id,
        cutover_ms=int(said[CUTOVER]),
        source_id=int(said[SOURCE]),
        window_digest=said[WINDOW],
        spec_fingerprint=said[SPEC],
        run_id=said[RUN_ID],
        history_until_ms=int(said.get(HISTORY, 0)),
        entries=int(said["total-records"]),
        totals={k.removeprefix(TOTAL): float(v) for k, v in said.items() if k.startswith(TOTAL)},
        audits=audits,
    )
