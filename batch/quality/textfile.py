"""The findings as a file of metrics: jobs end, so nobody can scrape them.

node_exporter's textfile collector reads `*.prom` of a directory; `quality.metrics_file` says where
this one is. It is replaced by a rename, so a collector never reads half of it.

    impressions_quality_findings{measure,blocks}   findings that stand
    impressions_quality_through_seconds            end of the newest day that was judged
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from batch.quality.judge import Verdict


def text_of(verdict: Verdict, through_s: int) -> str:
    """In Prometheus' text format."""
    counts = Counter((one.measure, str(one.blocks).lower()) for one in verdict.findings)
    lines = [
        "# HELP impressions_quality_findings findings of days of events that stand",
        "# TYPE impressions_quality_findings gauge",
        *(
            f'impressions_quality_findings{{measure="{measure}",blocks="{blocks}"}} {n}'
            for (measure, blocks), n in sorted(counts.items())
        ),
        "# HELP impressions_quality_through_seconds end of the newest day that was judged",
        "# TYPE impressions_quality_through_seconds gauge",
        f"impressions_quality_through_seconds {through_s}",
    ]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Replaces the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    new.replace(path)
