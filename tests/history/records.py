"""Records for the tests of the history."""

from __future__ import annotations

from typing import Any

from impressions.history.run_record import RunRecord

START_MS = 1_794_700_800_000  # 2026-11-15T00:00:00Z


def record(job: str = "close", at_s: float = 0, **more: Any) -> RunRecord:
    """A run of one second that begins `at_s` after START_MS; its id says when."""
    started_ms = START_MS + round(at_s * 1000)
    known: dict[str, Any] = {
        "run_id": f"r{round(at_s * 1000)}".replace("-", "m"), "host": "h", "started_ms": started_ms,
        "ended_ms": started_ms + round(more.pop("seconds", 1) * 1000), "exit_code": 0,
    }  # fmt: skip
    return RunRecord(job=job, **(known | more))
