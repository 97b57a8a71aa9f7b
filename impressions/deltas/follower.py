"""The follower: copies partitions of the delta topic into a store, by position.

In: the delta topic and the store. Out: the store, one batch of writes for each batch of records:
the blocks that win (impressions/deltas/block_versions.py), how far the copy has come, the last heartbeat.
There is no consumer group: what was read is known from the store alone, and a kill at any moment
costs a replay of one batch at most, which changes nothing.

    begin    at max(own next offset, log start). A copy of another topic of this name, or of one
             that was cut short, starts from nothing; so does one that has dropped slots which by
             this host's clock nobody may drop yet: some clock was ahead when it did
    restore  `restoring` until the position reaches the end that was asked for at the beginning. The
             records just before that end may have been compacted away, so the position may never
             get there: silence counts as the end too, if another look finds nothing before it
    follow   each heartbeat says through when the blocks before it are complete; slots older than
             `stream.keep_days` before that, and before this host's clock, are dropped
             (impressions/deltas/expired_slots.py)

While the broker is away it keeps trying; what the store says of its age tells the readers. A
consumer that stands still while the topic goes on, as another client sees it, ends the follower:
whoever runs it starts it again.
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
from impressions.core.errors import CorruptData, NotReady, Refused, ServiceError
from impressions.deltas import block_versions as versions
from impressions.deltas.expired_slots import Sweep, delete_partition, floor_of
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
    """Copies some partitions into a store that it alone writes.

    Attributes:
        states: what the store says of each partition that was begun.
    """

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
        self._sweep = Sweep(store, settings)
        self.states: dict[int, PartitionState] = {}
        self._topic_id: bytes | None = None
        self._ends: dict[int, int] = {}
        self._news_s: dict[int, float] = {}
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="topic")
        self._asked: Future[dict[str, tuple[bytes, int]]] | None = None
        self._ask_at_s = 0.0
        self._away = False

    @property
    def restoring(self) -> bool:
        """Whether any partition has not reached its end, or was not begun."""
        return self._topic_id is None or bool(self._ends)

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
        messages = self._receive(timeout_s)
        if messages:
            self._apply(messages)
        for partition in [p for p in self._ends if self._reached(p)]:
            self._restored(partition)
        self._check_progress()
        self._sweep.step(self.states)
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
        """Let go of the broker; the store stays open."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._consumer.close()

    def _follow_the_topic(self, answer: Future[dict[str, tuple[bytes, int]]]) -> None:
        """Begin, and begin again when the topic is another one than before."""
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
            self._save(partition, replace(state, restoring=state.next_offset < high))
            self._ends.pop(partition, None)
            if state.next_offset < high:
                self._ends[partition] = high
            self._news_s[partition] = monotonic_s()
            starts.append(TopicPartition(self._topic, partition, state.next_offset))
            log.info("follow", partition=partition, at=state.next_offset, end=high)
        if len(self._ends) == len(self._partitions):
            self._store.fill()
        else:
            self._store.filled()
        self._consumer.assign(starts)
        self._topic_id = topic_id

    def _resumed(self, partition: int, topic_id: bytes, low: int, high: int) -> PartitionState:
        """The state to go on from; that of an empty copy if what is there is of another topic."""
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
        # A kill in between finds a copy of no topic at all, and starts over again.
        self._save(partition, PartitionState(_NOWHERE, low, restoring=True))
        delete_partition(self._store, partition, self._settings.partitions)
        return PartitionState(topic_id, low, restoring=True)

    def _receive(self, timeout_s: float) -> list[Message]:
        """The next records: waits for the first, takes along what is there already."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        if self._away and first.error() is None:
            self._away = False
            log.info("broker-back", topic=self._topic)
        arrived = [first, *self._consumer.consume(BATCH_RECORDS, 0)]
        for message in arrived:
            if (error := message.error()) is not None:
                self._handle(message, error)
        return [message for message in arrived if message.error() is None]

    def _handle(self, message: Message, error: KafkaError) -> None:
        partition = message.partition()
        if error.code() == KafkaError._PARTITION_EOF:
            if message.offset() >= self._ends.get(partition, message.offset() + 1):
                self._restored(partition)
        elif error.code() in _LOST_POSITION:
            self._topic_id, self._ask_at_s = None, 0.0
        else:
            self._trouble(error.str())

    def _apply(self, messages: Iterable[Message]) -> None:
        records: list[tuple[int, bytes, bytes | None]] = []
        states, reached = dict(self.states), dict[int, int]()
        for message in messages:
            partition, key = message.partition(), message.key()
            reached[partition] = message.offset() + 1
            if key == heartbeat.KEY:
                state = self._with_heartbeat(partition, states[partition], message.value())
                states[partition] = state
            elif key is not None and len(key) == KEY_BYTES:
                records.append((partition, key, message.value()))
            else:
                log.once("not-a-delta", partition=partition, offset=message.offset())
        for partition, next_offset in reached.items():
            states[partition] = replace(states[partition], next_offset=next_offset)
            self._news_s[partition] = monotonic_s()
        floors = {partition: state.floor_ms for partition, state in states.items()}
        kept = ((key, value) for p, key, value in records if slot_of_key(key) >= floors[p])
        candidates = versions.newest(kept, self.spec)
        puts, deletes = versions.decide(
            candidates, self._store.get_many(list(candidates)), self.spec
        )
        changed = {p: state for p, state in states.items() if state is not self.states.get(p)}
        self._store.write(puts, changed, deletes)
        self.states = states

    def _with_heartbeat(
        self, partition: int, state: PartitionState, value: bytes | None
    ) -> PartitionState:
        """The state after a heartbeat; an older one, of a worker that lost the partition, changes
        nothing, nor do bytes that are none: the copy grows old, and says so.

        Raises:
            Refused: a stream of another kind.
        """
        if value is None:
            return state
        try:
            beat = heartbeat.decode(value, self.spec)
        except CorruptData as error:
            log.once("not-a-heartbeat", partition=partition, because=error.message)
            return state
        expected = partition, self._settings.partitions
        if (beat.partition, beat.partitions) != expected:
            raise Refused(
                f"heartbeat of partition {beat.partition} of {beat.partitions} "
                f"in partition {partition} of {self._settings.partitions}",
                hint="the worker and this host must agree on `partitions`",
                reason="partitions",
            )
        if beat.deltas_id != state.topic_id:
            # Of a worker that did not notice yet that the topic was made again.
            log.once("heartbeat-of-another-topic", partition=partition)
            return state
        if state.heartbeat is not None:
            held = heartbeat.decode(state.heartbeat, self.spec)
            if beat.progress < held.progress:
                return state
        floor_ms = floor_of(min(beat.through_ms, self._clock()), self._settings)
        return replace(state, heartbeat=value, floor_ms=max(state.floor_ms, floor_ms))

    def _reached(self, partition: int) -> bool:
        """Whether the position is at the end asked for, or nothing is left before it."""
        if self.states[partition].next_offset >= self._ends[partition]:
            return True
        if monotonic_s() - self._news_s[partition] < IDLE_S:
            return False
        self._news_s[partition] = monotonic_s()
        return self._nothing_left(partition)

    def _nothing_left(self, partition: int) -> bool:
        """Whether no record lies between the position and the end asked for, as another client sees
        it: a slow broker is silent, too."""
        at, end = self.states[partition].next_offset, self._ends[partition]
        try:
            return is_empty(self._settings, self._topic, partition, at, end, _ANSWER_S)
        except ServiceError as error:
            self._trouble(error.message)
            return False

    def _check_progress(self) -> None:
        """Raises ServiceError where nothing comes although something is there.

        librdkafka may lose a partition's leader for good (confluentinc/librdkafka#5430).
        """
        quiet_s = monotonic_s() - max(self._news_s.values(), default=monotonic_s())
        if quiet_s < STALLED_S:
            return
        self._news_s = dict.fromkeys(self._news_s, monotonic_s())
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
        end = self._ends.pop(partition)
        self._store.filled()  # its readers want to see what comes from now on
        state = self.states[partition]
        reached = replace(state, restoring=False, next_offset=max(end, state.next_offset))
        self._save(partition, reached)
        log.info("restored", partition=partition, through=reached.next_offset)

    def _save(self, partition: int, state: PartitionState) -> None:
        if self._store.state(partition) != state:
            self._store.write((), {partition: state})
        self.states[partition] = state

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
    """librdkafka logs each refused connection; `error_cb` tells the same, and we say it once."""
    logger = logging.getLogger("impressions.kafka.librdkafka")
    logger.setLevel(logging.CRITICAL)
    return logger
