"""`python -m tests.reconciling.dropping_worker`: a worker that loses two device flushes.

It reads them, says that it is past them, and never adds them: those whose log ids stand in
DROPPED, with commas.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from impressions.core.event import Reason
from impressions.process.command import run
from impressions.terminal import log
from speed import main
from speed.applying.encoded_apply import apply_encoded
from speed.partitions import partition

DROPPED = [int(text) for text in os.environ["DROPPED"].split(",")]


def applied_without(batch, *more):
    of_flush = np.isin(batch.log_id, DROPPED)
    if of_flush.any():
        log.info("dropped", flushes=int(of_flush.sum()))
        reason = np.where(of_flush[batch.flush], np.uint8(Reason.UNDECODABLE), batch.reason)
        batch = replace(batch, reason=reason)
    return apply_encoded(batch, *more)


assert partition.apply_encoded is apply_encoded
partition.apply_encoded = applied_without
run(main.command)
