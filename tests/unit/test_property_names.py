"""Names of table and snapshot properties are on disk: they outlive every renaming of a module.

A module named like a property (`impressions.spec`) once took the property along when it moved.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ON_DISK = {
    "impressions.accepted",
    "impressions.accepted.",
    "impressions.cutover-ms",
    "impressions.dictionary-columns",
    "impressions.history-until-ms",
    "impressions.kafka.epoch",
    "impressions.kafka.first-ms",
    "impressions.kafka.ingest-ms",
    "impressions.kafka.last-digests",
    "impressions.kafka.last-offsets",
    "impressions.kafka.lost",
    "impressions.kafka.next-offsets",
    "impressions.kafka.suspect-ms",
    "impressions.kafka.through-ms",
    "impressions.kafka.topic",
    "impressions.kafka.topic-id",
    "impressions.operation",
    "impressions.partitioner",
    "impressions.partitions",
    "impressions.read",
    "impressions.rejected",
    "impressions.run-id",
    "impressions.slot-ms",
    "impressions.source-snapshot-id",
    "impressions.spec",
    "impressions.total.",
    "impressions.valid",
    "impressions.valid-through-ms",
    "impressions.window-digest",
}


def test_properties_keep_their_names():
    """Every one is still a text of the batch, exactly so."""
    texts = {
        node.value
        for path in (ROOT / "batch").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert texts >= ON_DISK
