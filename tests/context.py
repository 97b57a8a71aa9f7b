"""The context of a job that runs in this process."""

from __future__ import annotations

from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from impressions.clock import now_ms
from impressions.settings.model import Settings
from impressions.terminal.report import start_run


def local_context(settings: Settings, job: str) -> Context:
    return Context(settings, start_run(job), Runner(), now_ms)
