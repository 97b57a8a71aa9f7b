"""`python -m tests.chaos`: break the running system, round after round, and compare every answer.

    python -m tests.chaos --seed 7 --rounds 200 --json
    python -m tests.chaos --brokers 1 --only kill_worker --only pause_broker --rounds 20
    python -m tests.chaos --events mine.parquet --mapping mine.toml

Ends with one line per kind of fault: how often it was made, how long until answers were whole
again (median, longest), and what was lost, counted twice or wrong. Exit 1 if anything was, or if
answers did not become whole; the seed is printed, and the directory is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.loop import Outcome, RoundFailed, faults_with, run
from tests.chaos.system import ROOT, System

_DISK_MIB = 192
_INSIDE = "CHAOS_INSIDE_NAMESPACE"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, help="begin no round so long after it is up")
    parser.add_argument("--only", action="append", help="this fault, repeatable")
    parser.add_argument(
        "--brokers",
        type=int,
        choices=(1, 3),
        default=3,
        help="three cost some 1.5 GB and start in 15 s",
    )
    parser.add_argument("--events", type=Path, help="one's own Parquet file as the history")
    parser.add_argument("--mapping", type=Path, default=ROOT / "examples" / "demo" / "mapping.toml")
    parser.add_argument("--keep", type=Path, help="work in this directory and leave it")
    parser.add_argument("--json", action="store_true", help="the table as one document on stdout")
    flags = parser.parse_args()
    names = sorted(faults_with(flags.brokers))
    if unknown := set(flags.only or ()) - set(names):
        parser.error(f"--only {', '.join(unknown)}: with this many brokers there are {names}")
    directory = (flags.keep or Path(tempfile.mkdtemp(prefix="impressions-chaos-"))).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    _mount(directory / "disk")
    say = _say_to_stderr if flags.json else _say
    say(f"seed {flags.seed}, brokers {flags.brokers}, in {directory}")
    mapping, events = flags.mapping.resolve(), flags.events.resolve() if flags.events else None
    began_s = time.monotonic()
    system = System(directory, flags.seed, events, mapping, flags.brokers)
    outcomes = {name: Outcome() for name in flags.only or names}
    failure = None
    try:
        system.start(mapping)
        say(f"up after {time.monotonic() - began_s:.0f} s")
        until_s = time.monotonic() + flags.seconds if flags.seconds else float("inf")
        run(system, flags.rounds, outcomes, until_s, say)
        ended = system.close()
        failure = f"did not end well: {ended}" if ended else None
    except BaseException as error:
        failure = f"{type(error).__name__}: {error}"
        system.kill_everything()
        if not isinstance(error, (RoundFailed, AssertionError, TimeoutError)):
            raise
    report = _report(flags, outcomes, system, time.monotonic() - began_s, failure)
    if flags.json:
        say(failure or "nothing lost, twice or wrong")
        print(json.dumps(report))
    else:
        print(_table(report))
    if failure is None and flags.keep is None:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if failure else 0


def _mount(disk: Path) -> None:
    """A small file system for the host's data, where this process may mount one."""
    disk.mkdir()
    if _INSIDE in os.environ:
        size = f"size={_DISK_MIB}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(disk)], check=True)


def _report(
    flags: argparse.Namespace,
    outcomes: dict[str, Outcome],
    system: System,
    seconds: float,
    failure: str | None,
) -> dict[str, object]:
    faults = [each.as_dict(name) for name, each in outcomes.items() if each.recovery_s]
    return {
        "seed": flags.seed,
        "brokers": flags.brokers,
        "rounds": sum(len(each.recovery_s) for each in outcomes.values()),
        "seconds": round(seconds),
        "events": system.judge.events,
        "undecodable": system.judge.undecodable,
        "generations": len(system.cutovers_ms),
        "restarts": {s.name: sorted(s.ends) for s in system.keeper.services},
        "faults": faults,
        "failure": failure,
    }


def _table(report: dict[str, object]) -> str:
    rows = report["faults"]
    assert isinstance(rows, list)
    columns = ("fired", "recovery_median_s", "recovery_max_s", "lost", "twice", "wrong")
    head = f"{'fault':26}" + "".join(f"{name:>19}" for name in columns)
    lines = [f"{row['fault']:26}" + "".join(f"{row[name]:>19}" for name in columns) for row in rows]
    answers, samples = (sum(row[name] for row in rows) for name in ("answers", "samples"))
    end = (
        f"seed {report['seed']}, brokers {report['brokers']}: "
        f"{report['rounds']} rounds in {report['seconds']} s, "
        f"{report['generations']} generations, {report['events']:,} impressions; "
        f"{answers:,} answers compared, {samples:,} reads while things were broken"
    )
    failed = f"FAILED: {report['failure']}" if report["failure"] else "nothing lost, twice or wrong"
    return "\n".join(["", head, *lines, "", end, failed])


def _say(text: str) -> None:
    print(text, flush=True)


def _say_to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _with_a_small_disk() -> int | None:
    """Run again in a mount namespace of its own, where a small disk can be mounted and filled."""
    if _INSIDE in os.environ:
        return None
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        probe = [*namespace, "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
        if subprocess.run(probe, capture_output=True, timeout=20).returncode:
            return None
    except (OSError, subprocess.TimeoutExpired):
        return None
    return subprocess.call(
        [*namespace, sys.executable, "-m", "tests.chaos", *sys.argv[1:]],
        env={**os.environ, _INSIDE: "1"},
    )


if __name__ == "__main__":
    code = _with_a_small_disk()
    sys.exit(main() if code is None else code)
