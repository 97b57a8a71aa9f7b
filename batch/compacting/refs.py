"""Branches and tags of an Iceberg table. Every one has a RETAIN, because refs hold their snapshots.

Names come from impressions/formats/generation_paths.py (`ref_name`). Creating replaces, dropping
what is not there is no error: so each step of a job may be repeated after a crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BRANCH_DAYS = 14
TAG_DAYS = 90


def branch_of(table: str, branch: str) -> str:
    """The name under which SQL and DataFrames read and write a branch."""
    return f"{table}.branch_{branch}"


def refs(spark: SparkSession, table: str) -> dict[str, int]:
    """Name -> snapshot id of every branch and tag."""
    rows = spark.sql(f"SELECT name, snapshot_id FROM {table}.refs").collect()
    return {row["name"]: row["snapshot_id"] for row in rows}


def set_branch(spark: SparkSession, table: str, branch: str, at: int | None = None) -> None:
    """Let `branch` start at a snapshot (None: at main's, or at nothing where there is no main)."""
    # Not CREATE OR REPLACE: where main has no snapshot yet, that creates but does not replace.
    drop_branch(spark, table, branch)
    version = "" if at is None else f"AS OF VERSION {at}"
    spark.sql(f"ALTER TABLE {table} CREATE BRANCH `{branch}` {version} RETAIN {BRANCH_DAYS} DAYS")


def set_tag(spark: SparkSession, table: str, tag: str, at: int) -> None:
    spark.sql(
        f"ALTER TABLE {table} CREATE OR REPLACE TAG `{tag}` AS OF VERSION {at} "
        f"RETAIN {TAG_DAYS} DAYS"
    )


def drop_branch(spark: SparkSession, table: str, branch: str) -> None:
    spark.sql(drop_statement(table, branch))


def drop_statement(table: str, branch: str) -> str:
    """The SQL that drops a branch, also shown to people."""
    return f"ALTER TABLE {table} DROP BRANCH IF EXISTS `{branch}`"


def fast_forward(spark: SparkSession, table: str, branch: str) -> int:
    """Move main to the head of `branch`, which must descend from it; returns that snapshot."""
    catalog, _, name = table.partition(".")
    row = spark.sql(
        f"CALL {catalog}.system.fast_forward(table => '{name}', branch => 'main', to => '{branch}')"
    ).collect()[0]
    return int(row["updated_ref"])
