"""A partition has just got another leader, which does not say yet where its log ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from batch.landing import topic
from impressions.clock import now_ms
from impressions.kafka import offsets
from speed.truncation import leader_epochs
from tests.broker import TestBroker, stream_settings

pytestmark = pytest.mark.kafka
_TIMES = 3


def electing(code: int = KafkaError.OFFSET_NOT_AVAILABLE) -> KafkaException:
    return KafkaException(KafkaError(code))


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first questions for an end are answered as a leader does that is not ready; which."""
    asked: list[str] = []
    list_offsets, watermarks = AdminClient.list_offsets, Consumer.get_watermark_offsets

    def by_admin(self: AdminClient, at: dict[Any, Any], **more: Any) -> dict[Any, Future[Any]]:
        if len(asked) >= _TIMES:
            return dict(list_offsets(self, at, **more))
        asked.append("list_offsets")
        futures: dict[Any, Future[Any]] = {partition: Future() for partition in at}
        for future in futures.values():
            future.set_exception(electing())
        return futures

    def by_consumer(self: Consumer, *at: Any, **more: Any) -> Any:
        if len(asked) >= _TIMES:
            return watermarks(self, *at, **more)
        asked.append("watermarks")
        raise electing(KafkaError.NOT_LEADER_FOR_PARTITION)

    class Electing(Consumer):
        get_watermark_offsets = by_consumer

    monkeypatch.setattr(AdminClient, "list_offsets", by_admin)
    monkeypatch.setattr(offsets, "Consumer", Electing)
    return asked


def test_asking_where_a_partition_ends_waits_for_its_leader(
    tmp_path: Path, broker: TestBroker, refused: list[str]
) -> None:
    """A landing, a look at leaders and a reader: each asks again, and gets the answer."""
    settings = stream_settings(tmp_path, broker)
    asks: dict[str, Callable[[], Any]] = {
        "landing": lambda: topic.ask(settings, now_ms).end,
        "leaders": lambda: sorted(leader_epochs(settings, range(4))),
        "reader": lambda: offsets.range_of(settings, settings.kafka.topic, 0),
    }
    found = {}
    for name, ask in asks.items():
        refused.clear()
        found[name] = ask()
        assert len(refused) == _TIMES, name
    assert found == {"landing": (0, 0, 0, 0), "leaders": [0, 1, 2, 3], "reader": (0, 0)}


def test_it_is_not_waited_for_ever_and_other_errors_are_said_at_once() -> None:
    """An election has a deadline; what no election explains has none."""
    asked = []

    def ask(code: int) -> None:
        asked.append(code)
        raise electing(code)

    with pytest.raises(KafkaException):
        offsets.once_elected(lambda: ask(KafkaError.LEADER_NOT_AVAILABLE), timeout_s=0.3)
    assert len(asked) > 1
    asked.clear()
    with pytest.raises(KafkaException):
        offsets.once_elected(lambda: ask(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert len(asked) == 1
