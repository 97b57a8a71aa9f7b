"""The follower: copies partitions of the delta topic into a store, by position.

In: the delta topic and the store. Out: the store, one batch of writes for each batch of records:
the blocks that win (impressions/deltas/block_versions.py), how far the copy has come, the last
heartbeat. There is no consumer group: what was read is known from the store alone, and a kill at
any moment costs a replay of one batch at most, which changes nothing.

    begin    at the own next offset, or where the partition begins by now. A copy of another topic
             of this name, or of one that was cut short, starts from nothing; so does one that has
             deleted slots which by this host's clock may not be deleted yet: some clock was ahead
    restore  `restoring` until the position reaches the end that was asked for at the beginning. The
             records just before that end may have been compacted away, so the position may never
             get there: silence counts as the end too, if another client sees nothing before it
    follow   each heartbeat says through when the blocks before it are complete; slots older than
             `stream.keep_days` before that, and before this host's clock, are deleted
             (impressions/deltas/expired_slots.py)

While the broker is away it keeps trying; readers see the age of the copy in the store. A consumer
that stands still while the topic goes on, as another client sees it, ends the follower; its parent
starts it again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from impressions.clock import Clock, monotonic_s, now_ms
from impressions.core.errors import NotReady, Refused, ServiceError
from impressions.deltas import block_versions
from impressions.deltas.copied_partition import CopiedPartition, with_heartbeat
from impressions.deltas.expired_slots import ExpiredSlots, delete_partition, floor_of
from impressions.deltas.store import KEY_BYTES, DeltaStore, PartitionState, slot_of_key
from impressions.formats import heartbeat
from impressions.kafka import client
from impressions.kafka.admin import Admin
from impressions.kafka.offsets import is_empty, range_of
from impressions.settings.model import Settings
from impressions.terminal import log

BATCH_RECORDS = 2_000
IDLE_S = 2.0
STALLED_S = 20.0
_ASK_S = 5.0
_RETRY_S = 0.5
_ANSWER_S = 3.0
_LOOK_S = 0.2
_NOWHERE = bytes(16)
_LOST_POSITION = (
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
)


class Follower:
    """Copies some partitions into a store that it alone writes."""

    def __init__(
        self,
        settings: Settings,
        store: DeltaStore,
        partitions: Sequence[int],
        clock: Clock = now_ms,
    ):
        self._settings, self._store, self._partitions = settings, store, tuple(partitions)
        self._clock = clock
        self.spec, self._topic = settings.spec, settings.kafka.deltas_topic
        self._bootstrap = client.bootstrap(settings)
        common = {
            "error_cb": lambda error: self._trouble(error.str()),
            "logger": _quiet(),
            "reconnect.backoff.max.ms": 1_000,  # a broker that is back is used at once
            "fetch.queue.backoff.ms": 10,  # a full queue is emptied in less than its default second
        }
        self._consumer = Consumer(
            client.reading(
                settings,
                enable_partition_eof=True,
                fetch_wait_max_ms=100,
                fetch_message_max_bytes=1 << 20,  # blocks are the worker's, and bounded
            )
            | common
        )
        self._admin = Admin(AdminClient(client.librdkafka(settings) | common), _ANSWER_S)
        self._expired = ExpiredSlots(store, settings)
        self._copies: dict[int, CopiedPartition] = {}
        self._topic_id: bytes | None = None
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="topic")
        self._asked: Future[dict[str, tuple[bytes, int]]] | None = None
        self._ask_at_s = 0.0
        self._away = False

    @property
    def restoring(self) -> bool:
        """Whether any partition has not reached its end, or was not begun."""
        return self._topic_id is None or bool(self._restoring())

    @property
    def states(self) -> dict[int, PartitionState]:
        """What the store says of each partition that was begun."""
        return {partition: copy.state for partition, copy in list(self._copies.items())}

    def poll(self, timeout_s: float) -> int:
        """Wait for records, no longer than this, and apply them; returns how many came.

        Raises:
            Refused: the topic is of another P or spec, or the broker has moved.
            CorruptData, NotReady: the store cannot be used any more.
        """
        if self._asked is None and monotonic_s() >= self._ask_at_s:
            self._asked = self._asking.submit(self._admin.identities, [self._topic])
        if self._asked is not None and self._asked.done():
            answer, self._asked = self._asked, None
            self._follow_the_topic(answer)
        arrived = self._receive(timeout_s)
        messages = [message for message in arrived if message.error() is None]
        if messages:
            self._apply(messages)
        # After the records: the end of a partition says that those before it were applied.
        for message in arrived:
            if (error := message.error()) is not None:
                self._handle(message, error)
        for partition in self._restoring():
            if self._reached(partition):
                self._restored(partition)
        self._check_progress()
        self._expired.delete_some(self.states)
        return len(messages)

    def restore(self, stop: threading.Event, moved: Callable[[], None] = lambda: None) -> None:
        """Poll until every partition is restored; `moved` is called when records came.

        Raises:
            NotReady: reason "stopped".
        """
        while self.restoring:
            if stop.is_set():
                raise NotReady("stopped before the deltas were restored", reason="stopped")
            if self.poll(_LOOK_S):
                moved()

    def close(self) -> None:
        """Close the connections to the broker; the store stays open."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._consumer.close()

    def _follow_the_topic(self, answer: Future[dict[str, tuple[bytes, int]]]) -> None:
        """Begin, and begin again if the topic is another one than before."""
        if client.find_bootstrap(self._settings) not in (self._bootstrap, None):
            raise ServiceError(
                f"the broker has moved away from {self._bootstrap}", hint="start again"
            )
        try:
            found = answer.result().get(self._topic)
            if found is None:
                self._trouble("there is no such topic")
            elif found[1] != self._settings.partitions:
                raise Refused(
                    f"topic {self._topic}: {found[1]} partitions, "
                    f"expected {self._settings.partitions}",
                    hint="impressions topics check",
                    reason="partitions",
                )
            elif found[0] != self._topic_id:
                self._begin(found[0])
        except KafkaException as error:
            self._trouble(error.args[0].str())
        self._ask_at_s = monotonic_s() + (_RETRY_S if self._topic_id is None else _ASK_S)

    def _begin(self, topic_id: bytes) -> None:
        starts = []
        for partition in self._partitions:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), timeout=_ANSWER_S, cached=False
            )
            state = self._resumed(partition, topic_id, low, high)
            restoring = state.next_offset < high
            self._save(partition, replace(state, restoring=restoring))
            copy = self._copies[partition]
            copy.restore_end = high if restoring else None
            copy.heard()
            starts.append(TopicPartition(self._topic, partition, state.next_offset))
            log.info("follow", partition=partition, at=state.next_offset, end=high)
        if len(self._restoring()) == len(self._partitions):
            self._store.fill()
        else:
            self._store.filled()
        self._consumer.assign(starts)
        self._topic_id = topic_id

    def _resumed(self, partition: int, topic_id: bytes, low: int, high: int) -> PartitionState:
        """The state to go on from; that of an empty copy if the store has one of another topic."""
        state = self._store.state(partition)
        if state is None:
            return PartitionState(topic_id, low, restoring=True)
        early = state.floor_ms > floor_of(self._clock(), self._settings) + self.spec.slot_ms
        if state.topic_id == topic_id and state.next_offset <= high and not early:
            return replace(state, next_offset=max(state.next_offset, low))
        log.warning(
            "start-over",
            partition=partition,
            had=state.next_offset,
            end=high,
            dropped_too_early=early,
        )
        # After a kill in between the copy is of no topic at all, and starts over again.
        self._save(partition, PartitionState(_NOWHERE, low, restoring=True))
        delete_partition(self._store, partition, self._settings.partitions)
        return PartitionState(topic_id, low, restoring=True)

    def _receive(self, timeout_s: float) -> list[Message]:
        """The next records and events: waits for the first, takes along what is there already."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        if self._away and first.error() is None:
            self._away = False
            log.info("broker-back", topic=self._topic)
        return [first, *self._consumer.consume(BATCH_RECORDS, 0)]

    def _handle(self, message: Message, error: KafkaError) -> None:
        partition = message.partition()
        if error.code() == KafkaError._PARTITION_EOF:
            end = self._copies[partition].restore_end
            if end is not None and message.offset() >= end:
                self._restored(partition)
        elif error.code() in _LOST_POSITION:
            self._topic_id, self._ask_at_s = None, 0.0
        else:
            self._trouble(error.str())

    def _apply(self, messages: Iterable[Message]) -> None:
        records: list[tuple[int, bytes, bytes | None]] = []
        before, reached = self.states, dict[int, int]()
        states = dict(before)
        for message in messages:
            partition, key = message.partition(), message.key()
            reached[partition] = message.offset() + 1
            if key == heartbeat.KEY:
                states[partition] = with_heartbeat(
                    states[partition], partition, message.value(), self._settings, self._clock()
                )
            elif key is not None and len(key) == KEY_BYTES:
                records.append((partition, key, message.value()))
            else:
                log.once("not-a-delta", partition=partition, offset=message.offset())
        for partition, next_offset in reached.items():
            states[partition] = replace(states[partition], next_offset=next_offset)
            self._copies[partition].heard()
        floors = {partition: state.floor_ms for partition, state in states.items()}
        kept = ((key, value) for p, key, value in records if slot_of_key(key) >= floors[p])
        candidates = block_versions.newest(kept, self.spec)
        puts, deletes = block_versions.decide(
            candidates, self._store.get_many(list(candidates)), self.spec
        )
        changed = {p: state for p, state in states.items() if state is not before[p]}
        self._store.write(puts, changed, deletes)
        for partition, state in changed.items():
            self._copies[partition].state = state

    def _reached(self, partition: int) -> bool:
        """Whether the position is at the end asked for, or nothing is left before it."""
        copy = self._copies[partition]
        if copy.restore_end is None or copy.state.next_offset >= copy.restore_end:
            return True
        if monotonic_s() - copy.news_s < IDLE_S:
            return False
        copy.heard()
        return self._nothing_left(partition)

    def _nothing_left(self, partition: int) -> bool:
        """Whether no record lies between the position and the end asked for, as another client sees
        it: a slow broker is silent, too."""
        copy = self._copies[partition]
        at, end = copy.state.next_offset, copy.restore_end or 0
        try:
            return is_empty(self._settings, self._topic, partition, at, end, _ANSWER_S)
        except ServiceError as error:
            self._trouble(error.message)
            return False

    def _check_progress(self) -> None:
        """Raises ServiceError if nothing comes although the topic has more.

        librdkafka may lose a partition's leader for good (confluentinc/librdkafka#5430).
        """
        news_s = [copy.news_s for copy in self._copies.values()]
        quiet_s = monotonic_s() - max(news_s, default=monotonic_s())
        if quiet_s < STALLED_S:
            return
        for copy in self._copies.values():
            copy.heard()
        for partition, state in self.states.items():
            try:
                _, end = range_of(self._settings, self._topic, partition, _ANSWER_S)
            except ServiceError as error:
                self._trouble(error.message)
                return
            if end > state.next_offset:
                raise ServiceError(
                    f"topic {self._topic}, partition {partition}: nothing came for "
                    f"{quiet_s:.0f} s at offset {state.next_offset}, though it ends at {end}",
                    hint="it starts again by itself; should it repeat: impressions topics check",
                )

    def _restored(self, partition: int) -> None:
        copy = self._copies[partition]
        end, copy.restore_end = copy.restore_end or 0, None
        self._store.filled()  # its readers want to see what comes from now on
        next_offset = max(end, copy.state.next_offset)
        reached = replace(copy.state, restoring=False, next_offset=next_offset)
        self._save(partition, reached)
        log.info("restored", partition=partition, through=reached.next_offset)

    def _save(self, partition: int, state: PartitionState) -> None:
        if self._store.state(partition) != state:
            self._store.write((), {partition: state})
        if partition in self._copies:
            self._copies[partition].state = state
        else:
            self._copies[partition] = CopiedPartition(state)

    def _restoring(self) -> list[int]:
        """The partitions whose restore has not reached its end."""
        return [p for p, copy in self._copies.items() if copy.restore_end is not None]

    def _trouble(self, because: str) -> None:
        """One line when the broker goes away, until it is back."""
        if not self._away:
            self._away = True
            log.warning("broker-away", topic=self._topic, because=because)


def restore_partition(
    settings: Settings,
    store: DeltaStore,
    partition: int,
    stop: threading.Event | None = None,
    moved: Callable[[], None] = lambda: None,
    clock: Clock = now_ms,
) -> int:
    """Copy one partition up to its present end; the next offset after it.

    Args:
        moved: called whenever it has come further.

    Raises:
        NotReady: reason "stopped".
        Refused, CorruptData: see `Follower.poll`.
    """
    follower = Follower(settings, store, (partition,), clock)
    try:
        follower.restore(stop or threading.Event(), moved)
        return follower.states[partition].next_offset
    finally:
        follower.close()


def _quiet() -> logging.Logger:
    """librdkafka logs each refused connection; `error_cb` gets the same, and it is logged once."""
    logger = logging.getLogger("impressions.kafka.librdkafka")
    logger.setLevel(logging.CRITICAL)
    return logger
