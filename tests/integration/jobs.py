"""Jobs as real processes, with a failpoint switched on."""

import os
import subprocess
import sys
from pathlib import Path

from impressions.process.failpoint import VARIABLE


def run_job(
    module: str, home: Path, *arguments: str, failpoint: str | None = None, master: str = "local[2]"
) -> subprocess.CompletedProcess[str]:
    """Run `python -m <module>` on the warehouse of `home` (P = 4) to its end."""
    settings = (f"home={home}", "partitions=4", f"spark.master={master}", "spark.driver_memory=1g")
    flags = [part for setting in settings for part in ("--set", setting)]
    environment = os.environ | ({VARIABLE: failpoint} if failpoint else {})
    return subprocess.run(
        [sys.executable, "-m", module, *arguments, *flags],
        capture_output=True, text=True, timeout=800, env=environment, check=False,
    )  # fmt: skip
