"""What the DAG runs as `impressions`: the real command, with a note of each call and faults.

    python command.py DIRECTORY WORDS...

Every call is a line of DIRECTORY/calls. DIRECTORY/faults.json holds for a verb how many of its next
calls get which flags added; the command then fails by itself.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(directory: Path, words: list[str]) -> None:
    with (directory / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    verb = words[0] if words[0] != "--set" else words[2]
    words = [*words, *_fault(directory / "faults.json", verb)]
    program = Path(sys.executable).with_name("impressions")
    os.execv(program, [str(program), *words])


def _fault(path: Path, verb: str) -> list[str]:
    faults = json.loads(path.read_text())
    if faults.get(verb, {}).get("calls", 0) < 1:
        return []
    faults[verb]["calls"] -= 1
    path.write_text(json.dumps(faults))
    return list(faults[verb]["flags"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
