"""`python -m impressions.compiled`: compile now, so that no first start of a process has to.

For images and machines that are prepared before they work; does nothing the second time.
"""

from impressions.compiled import blocks, flushes, profiles, shifts, sums
from impressions.terminal import log

if __name__ == "__main__":
    log.configure()
    profiles.prepare()
    flushes.reader()
    blocks.kernels()
    sums.kernel()
    shifts.kernel()
