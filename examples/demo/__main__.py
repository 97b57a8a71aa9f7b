"""Run the demo: `python -m examples.demo [--events FILE.parquet --mapping FILE.toml] [--keep DIR]`.

Ends with `demo: <N> answers checked against raw events, 0 differ` and exit 0, or with the pairs
that differ and exit 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from examples.demo.shell import StepFailed
from examples.demo.story import Options, tell

SHOWN_DIFFERENCES = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--events", type=Path, help="one's own Parquet file instead of a made year")
    parser.add_argument("--mapping", type=Path, default=Path(__file__).parent / "mapping.toml")
    parser.add_argument("--seed", type=int, default=20_261_115)
    parser.add_argument("--keep", type=Path, help="work in this directory and leave it")
    flags = parser.parse_args()
    started_s = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="impressions-demo-") as temporary:
            directory = (flags.keep or Path(temporary)).resolve()
            directory.mkdir(parents=True, exist_ok=True)
            events = flags.events.resolve() if flags.events else None
            options = Options(directory, events, flags.mapping.resolve(), flags.seed)
            outcome = tell(options)
    except StepFailed as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    for line in outcome.differ[:SHOWN_DIFFERENCES]:
        print(f"  {line}")
    print(f"\nseed {flags.seed}; took {time.monotonic() - started_s:.0f} s")
    print(
        f"demo: {outcome.checked} answers checked against raw events, {len(outcome.differ)} differ"
    )
    return 1 if outcome.differ or not outcome.checked else 0


if __name__ == "__main__":
    raise SystemExit(main())
