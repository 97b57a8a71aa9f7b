"""All limits on the calls of one server, as one object."""

from __future__ import annotations

from dataclasses import dataclass

from impressions.settings.sections.live import Serving
from serving.call_pool import CallPool
from serving.concurrency import ConcurrencyLimit
from serving.unread_answers import UnreadAnswers


@dataclass(frozen=True)
class CallLimits:
    """The limits of one server.

    Attributes:
        calls, streams: the pools that hold calls and streams; a full one refuses.
        permits: how many requests are computed at the same time.
        unread: answers that callers have not read.
    """

    calls: CallPool
    streams: CallPool
    permits: ConcurrencyLimit
    unread: UnreadAnswers


def call_limits(serving: Serving) -> CallLimits:
    """The limits of a server with these settings."""
    return CallLimits(
        calls=CallPool(serving.max_concurrent, "call"),
        streams=CallPool(serving.max_concurrent, "stream"),
        permits=ConcurrencyLimit(serving.threads),
        unread=UnreadAnswers(),
    )
