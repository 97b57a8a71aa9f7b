"""The same aggregation in DuckDB, over the same Parquet files, on as many threads.

    python duckdb_job.py          {"files": [...], "cutover_ms": ..., ...} on standard input

It makes what a generation holds: a row per (profile, title, location) and tail day. Decay is
exp(), which DuckDB computes faster than a power. Rows go to a table in memory, in any order
(`preserve_insertion_order`), as
https://duckdb.org/docs/current/guides/performance/how_to_tune_workloads advises for results without
ORDER BY. Nothing of the product is imported: this file runs in an environment of its own. Answers
on standard output, in JSON: seconds of the aggregation, CPU seconds of this process, its largest
resident memory, how many groups, and the rows of the profiles asked for, with tail days added up.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

_MEASURES = {"impressions": "1", "plays": "played::INT", "dwell_s": "dwell_s"}


def main() -> None:
    asked = json.load(sys.stdin)
    db = duckdb.connect()
    db.execute(f"SET threads = {asked['threads']}; SET preserve_insertion_order = false")
    before_s = _cpu_s()
    started_s = time.perf_counter()
    db.execute(f"CREATE TEMP TABLE made AS {statement(asked)}")
    answer = {"seconds": time.perf_counter() - started_s, "cpu_s": _cpu_s() - before_s}
    groups = db.execute("SELECT count(*) FROM made").fetchall()[0][0]
    answer |= {"groups": groups, "peak_rss_bytes": _peak_bytes(), "rows": rows(db, asked)}
    print(json.dumps(answer))


def statement(asked: dict[str, Any]) -> str:
    """The aggregation; files, window and half-lives as asked."""
    files = ", ".join(f"'{path}'" for path in asked["files"])
    event_ms = "epoch_ms(event_time)"
    tail_day = f"CASE WHEN {event_ms} < {asked['tail_end_ms']} THEN event_time::TIMESTAMP::DATE END"
    decayed = [
        f"sum(({x}) * exp(({event_ms} - {asked['cutover_ms']}) * {_rate(h)})) AS {name}_hl_{h}d"
        for name, x in _MEASURES.items()
        for h in asked["half_lives_days"]
    ]
    totals = [f"sum({x}) AS {name}" for name, x in _MEASURES.items()]
    return (
        f"SELECT profile_id, title_id, location, {tail_day} AS tail_day, "
        f"max({event_ms}) AS last_seen_ms, {', '.join([*totals, *decayed])} "
        f"FROM read_parquet([{files}], hive_partitioning = false) "
        f"WHERE NOT duplicate AND {event_ms} >= {asked['first_ms']} "
        "GROUP BY profile_id, title_id, location, tail_day"
    )


def rows(db: duckdb.DuckDBPyConnection, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of some profiles, as one per (profile, title, location)."""
    profiles = ", ".join(map(str, asked["profiles"]))
    columns = [f"{name}_hl_{h}d" for name in _MEASURES for h in asked["half_lives_days"]]
    added = ", ".join(f"sum({c})::DOUBLE AS {c}" for c in [*_MEASURES, *columns])
    found = db.execute(
        f"SELECT profile_id, title_id, location, max(last_seen_ms) AS last_seen_ms, {added} "
        f"FROM made WHERE profile_id IN ({profiles}) GROUP BY profile_id, title_id, location"
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _rate(half_life_days: int) -> str:
    return f"{math.log(2) / (half_life_days * 86_400_000)!r}::DOUBLE"


def _peak_bytes() -> int:
    """Not `ru_maxrss`, which begins with the peak of the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
