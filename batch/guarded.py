"""A commit that lands on exactly the snapshot it was computed from, or not at all.

Iceberg rebases an append silently when another commit came first. For rows that carry offsets this
would be wrong: two landers that read the same records would both be in. So:

    1  branch land_<name> at the snapshot that was read
    2  append rows and properties to the branch: one commit
    3  look at it: its parent is the snapshot that was read
    4  fast-forward main to the branch, which the catalog does only if main has not moved
    5  drop the branch

Killed before 4 nothing was landed, after 4 everything. A branch that main has moved past can never
be published; whoever publishes next drops it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from batch import refs, snapshots
from impressions.shell.failpoint import failpoint

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PREFIX = "land_"
_MAIN = "main"


def append(rows: DataFrame, table: str, base_id: int | None, properties: Mapping[str, str]) -> int:
    """Append to main as it was at `base_id`; returns the new snapshot.

    Raises:
        MainMoved, or an Iceberg conflict: somebody else committed; nothing of this was published.
    """
    spark, branch = rows.sparkSession, _PREFIX + uuid.uuid4().hex[:12]
    try:
        begin_id = _begin(spark, table, branch, base_id)
        snapshots.writer(rows, refs.branch_of(table, branch), properties).append()
        _check_parent(spark, table, branch, begin_id)
        failpoint("before-publish")
        snapshot_id = _publish(spark, table, branch)
        failpoint("after-publish")
    finally:
        with contextlib.suppress(Exception):  # another commit came between: the next run drops it
            refs.drop_branch(spark, table, branch)
    _sweep(spark, table)
    return snapshot_id


def _begin(spark: SparkSession, table: str, branch: str, base_id: int | None) -> int:
    """The branch's first snapshot: `base_id`, or Iceberg's empty one where there is no main."""
    at = "" if base_id is None else f"AS OF VERSION {base_id}"
    spark.sql(f"ALTER TABLE {table} CREATE BRANCH `{branch}` {at} RETAIN 1 DAYS")
    found = refs.refs(spark, table)
    if found.get(_MAIN) != base_id:
        raise snapshots.MainMoved(f"main of {table} is at {found.get(_MAIN)}, expected {base_id}")
    return found[branch]


def _check_parent(spark: SparkSession, table: str, branch: str, begin_id: int) -> None:
    """An append to a branch that was dropped meanwhile makes it anew, on top of main."""
    head = refs.refs(spark, table).get(branch)
    commit = snapshots.snapshots(spark, table).get(head) if head is not None else None
    if commit is None or commit.parent_id != begin_id:
        raise snapshots.MainMoved(f"branch {branch} of {table} was dropped by another lander")


def _publish(spark: SparkSession, table: str, branch: str) -> int:
    try:
        return refs.fast_forward(spark, table, branch)
    except Exception as error:
        if "ancestor" in str(error) or "does not exist" in str(error):
            raise snapshots.MainMoved(f"main of {table} moved") from error
        raise


def _sweep(spark: SparkSession, table: str) -> None:
    """Drop the branches that killed landers left: those that main has moved past."""
    found = refs.refs(spark, table)
    left = [name for name in found if name.startswith(_PREFIX)]
    if not left:
        return
    commits = snapshots.snapshots(spark, table)
    for name in left:
        line = {commit.id for commit in snapshots.ancestry(commits, found[name])}
        if found[_MAIN] not in line or found[name] == found[_MAIN]:
            with contextlib.suppress(Exception):
                refs.drop_branch(spark, table, name)
