"""`python -m impressions.compiled`: compile now, so that no first start of a process has to.

For images and machines that are prepared before they work; does nothing the second time. What is
missing is compiled side by side, a process for each module: the largest take a minute each.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, wait
from importlib import import_module
from multiprocessing import get_context

from impressions.compiled import blocks, cache, flushes, profiles, shifts, sound_blocks, sums
from impressions.compiled.loading import announce, can_compile
from impressions.terminal import log

_KERNELS = {
    "answer": "answer", "profile_kernels": "merge_bytes", "shift_kernels": "shifted",
    "block_kernels": "merge", "flush_kernels": "fill", "sum_kernels": "sums",
    "sound_kernel": "is_sound",
}  # fmt: skip
"""Module -> a function that is kept of it; the slowest first. A module brings those it imports."""


def main() -> None:
    log.configure()
    missing = [module for module, function in _KERNELS.items() if not cache.is_filled(function)]
    if missing and can_compile():
        announce("all")
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            # What fails here fails again below, and is said there.
            wait([pool.submit(import_module, f"{__package__}.{module}") for module in missing])
    profiles.prepare()
    flushes.reader()
    blocks.kernels()
    sums.kernel()
    shifts.kernel()
    sound_blocks.kernel()


if __name__ == "__main__":
    main()
