"""Run the demo: `python -m examples.demo [--events FILE.parquet --mapping FILE.toml] [--keep DIR]`.

Ends with what was proven and `demo: <N> answers checked against raw events, 0 differ`, exit 0; or
with the pairs that differ, exit 1. Where a step fails, what it said is shown and all files stay.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType

from examples.demo.screen import Screen, show_proven
from examples.demo.shell import StepFailed, tail
from examples.demo.story import Options, stages_of, tell

SHOWN_DIFFERENCES = 20
NEXT_STEPS = [
    ("make demo EVENTS=x.parquet MAPPING=x.toml", "on your own events"),
    (". .venv/bin/activate", "for the commands below"),
    ("impressions dev up", "the whole system, left running"),
    ("impressions land --help", "how your columns are mapped"),
    ("docs/architecture.md", "how it works"),
    ("docs/reliability.md", "what is promised"),
]


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--events", type=Path, help="one's own Parquet file instead of a made year")
    parser.add_argument("--mapping", type=Path, default=Path(__file__).parent / "mapping.toml")
    parser.add_argument("--seed", type=int, default=20_261_115)
    parser.add_argument("--keep", type=Path, help="work in this directory and leave it")
    return parser.parse_args()


def main() -> int:
    flags = _flags()
    signal.signal(signal.SIGTERM, _as_interrupt)
    started_s = time.monotonic()
    directory = (flags.keep or Path(tempfile.mkdtemp(prefix="impressions-demo-"))).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    events = flags.events.resolve() if flags.events else None
    options = Options(directory, events, flags.mapping.resolve(), flags.seed)
    screen = Screen(stages_of(options))
    try:
        outcome = tell(options, screen)
    except KeyboardInterrupt:
        if not flags.keep:
            shutil.rmtree(directory)
        print("\ndemo: interrupted; all its processes are stopped", file=sys.stderr)
        return 130
    except Exception as error:  # whatever it was: shown, with what the processes printed
        _show_failure(error, directory)
        return 1
    well = bool(outcome.checked) and not outcome.differ
    if well and not flags.keep:
        shutil.rmtree(directory)
    if well:
        show_proven(screen.console, outcome.claims, NEXT_STEPS)
    for line in outcome.differ[:SHOWN_DIFFERENCES]:
        print(f"  {line}")
    print(f"\nseed {flags.seed}; took {time.monotonic() - started_s:.0f} s")
    print(
        f"demo: {outcome.checked} answers checked against raw events, {len(outcome.differ)} differ"
    )
    return 0 if well else 1


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the demo as Ctrl-C does: its processes are stopped first."""
    raise KeyboardInterrupt


def _show_failure(error: Exception, directory: Path) -> None:
    """The end of what the command printed, or the services where no command failed."""
    logs = directory / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "failure.txt").write_text("".join(traceback.format_exception(error)))
    named = error.log if isinstance(error, StepFailed) else None
    for log in [named] if named else sorted(logs.glob("*.log")):
        print(tail(log), file=sys.stderr)
    what = str(error) if isinstance(error, StepFailed) else f"{type(error).__name__}: {error}"
    print(f"\ndemo: {what}\nall that was printed is in {logs}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
