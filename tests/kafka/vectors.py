"""The contract's test vectors, for any language: logs in, partition and record bytes out.

    tests/golden/records.json   [{"partitions": P, "logs": [...], "records": {partition: hex}}, ...]

A log is {"profile_id", "log_id", "device_type", "app_version", "impressions": [...]}; an impression
has the names of impressions.kafka.record_packing.Impression. Logs of one partition stand in one
record, in the order of the list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from impressions.kafka.record_packing import Impression, Log, Packer, log_message, pack

FILE = Path(__file__).parents[1] / "golden" / "records.json"


def load() -> list[dict[str, Any]]:
    return list(json.loads(FILE.read_text("utf-8")))


def log_of(fields: dict[str, Any]) -> Log:
    impressions = [Impression(**e) for e in fields["impressions"]]
    return Log(**{**fields, "impressions": impressions})


def records_of(case: dict[str, Any]) -> dict[str, str]:
    """Partition -> hex of its record, as this implementation writes it."""
    packer = Packer(record_bytes=1 << 20, linger_s=1)
    for fields in case["logs"]:
        assert not packer.add(pack(log_message(log_of(fields)), case["partitions"]), 0)
    return {str(record.partition): record.value.hex() for record in packer.drain()}
