"""A generation becomes public: written to a branch, signed, published.

    write      rows -> branch audit_<date>, one commit that says what they were computed from
    sign_off   an empty commit on that branch with the results of the audits
    publish    fast-forward main to it -> tag gen_<date> -> drop the branch

A crash between any two of them leaves either an audit branch, which the next run resets, or a main
that lacks its tag, which the next run sets (`heal`). Main never shows rows that were not signed.
What was published is read by batch/lake/generations.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from batch.compacting import refs
from batch.lake.generations import History
from impressions.core.errors import Refused
from impressions.formats.generation_paths import generation_id, ref_name
from impressions.history.run_record import HEALED
from impressions.process.failpoint import failpoint
from impressions.process.recording import event

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriterV2, SparkSession


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


def heal(spark: SparkSession, ema: str, known: History) -> History:
    """Finish what a crash left undone after a fast-forward, of any date."""
    main = known.main
    if main is None:
        return known
    if main.cutover_ms not in known.tagged:
        refs.set_tag(spark, ema, ref_name("gen", main.cutover_ms), at=main.snapshot_id)
        event(HEALED, "publication of a generation finished", main.name)
    branch = ref_name("audit", main.cutover_ms)
    # At another snapshot it is a computation that was kept to be looked at.
    if refs.refs(spark, ema).get(branch) == main.snapshot_id:
        refs.drop_branch(spark, ema, branch)
    return History({main.cutover_ms: main, **known.tagged}, main)


def writer(rows: DataFrame, table: str, properties: Mapping[str, str]) -> DataFrameWriterV2:
    """A writer whose commit carries the properties."""
    into = rows.writeTo(table)
    for key, value in properties.items():
        into = into.option(f"snapshot-property.{key}", value)
    return into
