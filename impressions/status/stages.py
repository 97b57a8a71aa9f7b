"""All stages, in the order in which an impression passes them, and what they mean to a probe.

    the batch path (stages_batch)   topic -> landed -> closed -> quality -> generations -> loaded
                                    -> active
    the live path (stages_live)     topic -> worker -> deltas -> serving
    who keeps it going (stages_upkeep)   jobs, reconciled, disk

What is bad decides the exit code; what is merely not there does not.
"""

from __future__ import annotations

from collections.abc import Iterable

from impressions.core.errors import CorruptData, Refused, ServiceError
from impressions.settings.model import Settings
from impressions.status.stage import Found, Stage
from impressions.status.stages_batch import active, closed, generations, landed, loaded, quality
from impressions.status.stages_live import deltas, serving, topic, worker
from impressions.status.stages_upkeep import disk, jobs, reconciled


def stages(found: Found, settings: Settings) -> tuple[Stage, ...]:
    """All stages, in the order in which an impression passes them."""
    return (
        topic(found),
        landed(found, settings),
        closed(found, settings),
        quality(found),
        generations(found, settings),
        loaded(found),
        active(found, settings),
        worker(found, settings),
        deltas(found, settings),
        serving(found),
        jobs(found, settings),
        reconciled(found, settings),
        disk(found, settings),
    )


def exit_code(stages: Iterable[Stage]) -> int:
    """0 well; 4 damaged data on this host; 8 a server's answers are incomplete, or it gives none;
    7 something else is wrong."""
    bad = [stage for stage in stages if stage.state == "bad"]
    if any(stage.damaged for stage in bad):
        return CorruptData.exit_code
    if any(stage.name == "serving" for stage in bad):
        return ServiceError.exit_code
    return Refused.exit_code if bad else 0
