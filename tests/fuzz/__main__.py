"""`python -m tests.fuzz [SECONDS]`: every target under atheris, an equal share of the time each.

Half of all mutations are libFuzzer's own, the other half are sealed again (tests/fuzz/targets.py).
An input that raises anything but an error of ours, takes more than 10 s or needs more than 1 GB
ends the run: it is printed in hex, to be kept in tests/faults/test_decoders.py.

    python -m tests.fuzz --target manifest <flags of libFuzzer>      one target, until it is stopped
"""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

ROUND_S = 30
LIMITS = ("-rss_limit_mb=1024", "-timeout=10", "-max_len=4096", "-print_final_stats=1")


def fuzz_one(name: str, flags: list[str]) -> None:
    """Fuzz a target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(
        include=["impressions", "batch.mapping", "bulkload.compatibility"]
    ):
        from tests.fuzz.targets import TARGETS
    from impressions.core.errors import ImpressionsError

    target = TARGETS[name]

    def one_input(data: bytes) -> None:
        with contextlib.suppress(ImpressionsError):
            target.run(data)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return bytes(atheris.Mutate(data, max_size))
        if rng.random() < 0.5:
            data = bytes(atheris.Mutate(data, max_size))
        return target.reseal(data, rng)[:max_size]

    atheris.Setup([sys.argv[0], *flags], one_input, custom_mutator=mutate)
    atheris.Fuzz()


def run_all(seconds: int) -> int:
    """Each target for its share; 1 if an input was found."""
    from tests.fuzz.targets import TARGETS

    found = [fuzz_for(target, seconds // len(TARGETS)) for target in TARGETS.values()]
    return int(any(found))


def fuzz_for(target: Target, seconds: int) -> bool:
    """Fuzz a target in processes of its own, one after the other: atheris grows with the inputs it
    has traced. Whether an input was found."""
    with TemporaryDirectory() as scratch:
        corpus = Path(scratch, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(target.seeds()):
            (corpus / str(number)).write_bytes(seed)
        flags = [str(corpus), f"-artifact_prefix={scratch}/found-", *LIMITS]
        for end_s in range(max(1, seconds), 0, -ROUND_S):
            limit = f"-max_total_time={min(end_s, ROUND_S)}"
            command = [sys.executable, "-m", "tests.fuzz", "--target", target.name, *flags, limit]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
            print(f"{target.name:14} {summary(done.stderr)}", flush=True)
            if done.returncode:
                print(done.stderr[-3000:])
                for path in Path(scratch).glob("found-*"):
                    print(f"{target.name} {path.name}: {path.read_bytes().hex()}")
                return True
    return False


def summary(text: str) -> str:
    """Inputs, coverage and memory, as libFuzzer prints them at its end."""
    inputs = re.findall(r"number_of_executed_units:\s*(\d+)", text)
    covered, rss = re.findall(r"cov: (\d+)", text), re.findall(r"peak_rss_mb:\s*(\d+)", text)
    last = [values[-1] if values else "?" for values in (inputs, covered, rss)]
    return "{:>9} inputs, {:>5} branches, {:>4} MB".format(*last)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--target"]:
        fuzz_one(sys.argv[2], sys.argv[3:])
    sys.exit(run_all(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
