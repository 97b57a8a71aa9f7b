"""Seeded traffic with everything that happens: resends, late, early, broken, misdirected."""

import random

from confluent_kafka import Producer

from impressions.clock import now_ms
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.kafka import client
from impressions.settings.model import Settings
from tests.speed.records import record_bytes


class Traffic:
    """Sends device flushes of `profiles` profiles; a few of them again, now and then."""

    def __init__(self, settings: Settings, seed: int, profiles: int = 60, **producer: str):
        self._random, self._profiles = random.Random(seed), profiles
        self._settings = settings
        self._producer = Producer(client.librdkafka(settings, linger_ms=1, **producer))
        self._recent: list = []
        self.sent = 0

    def send(self, records: int) -> None:
        """So many records, each with one to three flushes of one partition."""
        for _ in range(records):
            profile = self._random.randint(1, self._profiles)
            logs = [self._log(profile) for _ in range(self._random.randint(1, 3))]
            partition = shard_of(profile, self._settings.partitions)
            self._producer.produce(
                self._settings.kafka.topic, record_bytes(*logs), partition=partition
            )
            self._producer.poll(0)
            self.sent += 1

    def resend_all(self) -> None:
        """The last few hundred flushes once more, as devices do that heard no answer."""
        for log in self._recent:
            value = record_bytes(log)
            partition = shard_of(log[0], self._settings.partitions)
            self._producer.produce(self._settings.kafka.topic, value, partition=partition)
            self._producer.poll(0)
            self.sent += 1

    def flush(self) -> None:
        assert self._producer.flush(30) == 0, "records were not delivered"

    def _log(self, profile: int):
        pick = self._random
        mine = [log for log in self._recent if log[0] == profile]
        if mine and pick.random() < 0.2:
            return pick.choice(mine)
        log = (
            profile,
            pick.randint(1, 1 << 62),
            [self._event() for _ in range(pick.randint(1, 5))],
        )
        self._recent = [*self._recent[-500:], log]
        return log

    def _event(self) -> dict:
        pick = self._random
        early_ms = pick.choice([0, 0, 0, 1_000, 200 * DAY_MS, 340 * DAY_MS, -240_000, -9 * DAY_MS])
        return {
            "title": pick.randint(1, 30),
            "location": pick.randint(0, 2),
            "event_ms": now_ms() - early_ms,
            "played": pick.randint(0, 1),
            "dwell_s": pick.choice([0.0, 1.25, 30.0, -1.0]) if pick.random() < 0.1 else 2.5,
        }


class Transactions(Traffic):
    """The same, each `send` in a transaction: it ends with a marker, an offset without a record."""

    def __init__(self, settings: Settings, seed: int):
        super().__init__(settings, seed, transactional_id=f"of-{settings.kafka.topic}")
        self._producer.init_transactions(20)

    def send(self, records: int) -> None:
        self.begin(records)
        self._producer.commit_transaction(20)

    def begin(self, records: int) -> None:
        """Sent, and neither committed nor aborted."""
        self._producer.begin_transaction()
        super().send(records)
        self.flush()

    def abort(self) -> None:
        self._producer.abort_transaction(20)
