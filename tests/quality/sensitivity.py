"""The smallest fault of each kind that is still found, on generated traffic: a table for docs.

    python -m tests.quality.sensitivity

Each fault is made smaller until one of two seeds is not found any more; one day, after eleven
ordinary weeks, at 8,000 impressions a day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from batch.quality.findings import blocking
from tests.quality import faults
from tests.quality.test_judge import BAD, SEEDS, found
from tests.quality.traffic import Fault

Made = Callable[[float], Fault]
KINDS: dict[str, tuple[Made, Sequence[float]]] = {
    "hours missing, a share of the day": (faults.missing, (0.5, 0.4, 0.3, 0.25, 0.2, 0.15)),
    "events lost at random, a share": (faults.lost, (0.6, 0.5, 0.45, 0.4, 0.35)),
    "landed twice, a share of the day": (faults.landed_twice, (0.5, 0.25, 0.15, 0.12, 0.1)),
    "plays lost, a share": (faults.fewer_plays, (0.5, 0.35, 0.3, 0.25, 0.2)),
    "dwell of one version in another unit, times": (faults.dwell_times, (10, 4, 3, 2.5, 2)),
    "clock of a device type behind, hours": (lambda h: faults.clock_off(-h), (6, 4, 3, 2, 1)),
    "clock of a device type ahead, hours": (faults.clock_off, (6, 3, 1, 0.5, 0.1)),
    "locations 0, a share": (faults.locations_zero, (1, 0.6, 0.5, 0.4, 0.3)),
    "a bot, its share of impressions": (faults.bot, (0.1, 0.06, 0.05, 0.04, 0.03, 0.02)),
    "new titles, a share of events": (faults.new_titles, (1, 0.6, 0.4, 0.2, 0.1)),
}


def smallest(made: Made, sizes: Sequence[float]) -> float | None:
    """The last size, from the largest on, that is blocked with every seed."""
    last = None
    for size in sizes:
        if not all(blocking(found(seed, {BAD: made(size)})) for seed in SEEDS):
            break
        last = size
    return last


if __name__ == "__main__":
    for kind, (made, sizes) in KINDS.items():
        print(f"| {kind} | {smallest(made, sizes)} |", flush=True)
