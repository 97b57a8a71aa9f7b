"""Faust as an engine: consumer group, assignment, delivery, commits. Nothing else of it is used.

The only file that touches Faust's insides, and why:

    seek            Faust resumes at the group's committed offsets; ours are in the state, which is
                    what was really published. So `perform_seek` of its consumer is replaced, and
                    an event is neither skipped nor read twice, whatever the group remembers
    size            a broker bounds records compressed, and a few KB may become gigabytes. A value
                    that is too large to be looked into is cut where it is unpacked, and a poll
                    ends where the values under way fill their memory (speed/fetch_memory.py)
    fetch wait      Faust lets the broker hold a fetch for 1.5 s. One that is under way does not
                    cover partitions with records in hand, so their next record would wait for it
    generation      what was taken survives a rebalance; fetches of an older generation are dropped
    records         aiokafka makes an object of each record; here it is the record that is applied
                    (speed/fetched_records.py)
    delivery        Faust makes an event of each record, at 60 us. Here the thread that polls hands
                    over what it got of a partition as one message, or as a few (speed/fetches.py),
                    each with its last record's offset. Faust takes what is fetched again after a
                    seek for old where something newer was under way: here it does not. And it
                    starts two tasks to hand a message over, so that a rebalance need not wait for a
                    full buffer. Where the buffer has room, one call does the same
    taking          Faust's `take` waits its full time after each flush unless its buffer is full.
                    Here whatever was delivered meanwhile is taken as soon as a flush is done
                    (speed/taking.py)
    commits         Faust commits what was acked, event by event, in `finally`: also what failed.
                    Here it commits, as often as it likes, how far each partition is applied. So
                    nothing is acked, and gaps between offsets need no books. None is sent while
                    this member joins (speed/joins.py)
    coordination    the group's task may end silently; `alive` says so

Tables, changelogs, web server and leader topics are off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP
from yarl import URL

from impressions.core.errors import ServiceError
from impressions.kafka.client import aiokafka
from impressions.settings.model import Settings
from speed.directory import member_name
from speed.fetch_memory import FetchMemory
from speed.fetched_records import consumer_record, unpack_to_source_records
from speed.fetches import Fetch, Piece, Polls
from speed.joins import hold_commits_while_joining
from speed.taking import taken

_FETCH_BYTES = 8 << 20
_UNDER_WAY_BYTES = 64 << 20
"""Of values, uncompressed, that are polled and not yet applied; the last one may go beyond, by
8 MiB at most."""
_FETCHES_AT_ONCE = 64
"""Pieces, of all partitions together: some 16 MB, uncompressed, and 8 * `batch_records`."""
_FETCH_WAIT_MS = 50
_COMMIT_S = 1.0
_ANSWER_S = 10.0
_HEARTBEAT_S = 3.0


class Engine:
    """Delivers records of assigned partitions to `handle`, from the offsets that `start_of` says.

    Args:
        handle: gets fetches, in offset order within a partition.
        assigned: gets the partitions of this worker after each rebalance, before records flow.
        start_of: the next offset to apply of an assigned partition; 0 while that is unknown.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        handle: Callable[[Sequence[Fetch]], Awaitable[None]],
        assigned: Callable[[frozenset[int]], Awaitable[None]],
        start_of: Callable[[int], int],
    ):
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settings, self._topic_name = settings, settings.kafka.topic
        self._handle, self._assigned, self._start_of = handle, assigned, start_of
        self._memory = FetchMemory(_UNDER_WAY_BYTES)
        self._app = self._make_app(directory)
        self._app.on_rebalance_complete.connect(self._rebalanced, weak=False)
        topic = self._app.topic(
            self._topic_name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            acks=False,
        )
        self._app.agent(topic, name="impressions.speed")(self._consume)

    @property
    def generation(self) -> int:
        """The consumer group's generation; another one means another assignment."""
        return int(self._app.consumer_generation_id)

    def alive(self) -> bool:
        """Whether the group's coordination goes on."""
        if self._app.crashed or self._app.should_stop:
            return False
        thread = getattr(self._app.consumer, "_thread", None)
        consumer = getattr(thread, "_consumer", None)
        task = getattr(getattr(consumer, "_coordinator", None), "_coordination_task", None)
        return task is None or not task.done()

    async def start(self) -> None:
        self._app.finalize()
        await self._app.start()

    async def stop(self) -> None:
        await self._app.stop()

    async def end_offsets(self, partitions: Sequence[int]) -> dict[int, int]:
        """The offset after the last record of each partition, asked now."""
        tps = [TP(self._topic_name, partition) for partition in partitions]
        ends: Mapping[Any, int] = await self._app.consumer.highwaters(*tps)
        return {tp.partition: end for tp, end in ends.items()}

    async def first_offset(self, partition: int) -> int:
        """The first offset that a partition of the source has, asked now.

        Raises:
            ServiceError: the broker does not answer.
        """
        tp = TP(self._topic_name, partition)
        try:
            asking = self._app.consumer.earliest_offsets(tp)
            starts: Mapping[Any, int] = await asyncio.wait_for(asking, _ANSWER_S)
        except (TimeoutError, KafkaError) as error:
            raise ServiceError(
                f"topic {self._topic_name}, partition {partition}: {error!r}",
                hint="is the broker reachable? impressions topics check",
                reason="broker",
            ) from error
        return starts[tp]

    async def seek(self, partitions: Sequence[int]) -> None:
        """Read on from `start_of` each partition."""
        await _seek(self._app.consumer, self._tps(partitions), self._start_of)

    def _tps(self, partitions: Sequence[int]) -> list[TP]:
        return [TP(self._topic_name, partition) for partition in partitions]

    def _make_app(self, directory: Path) -> faust.App:
        settings, client = self._settings, aiokafka(self._settings)
        app = faust.App(
            settings.speed.group,
            broker=[URL(f"kafka://{at}") for at in client["bootstrap_servers"].split(",")],
            broker_credentials=_credentials(client),
            datadir=str(directory / "faust"),
            store="memory://",
            autodiscover=False,
            web_enabled=False,
            processing_guarantee="at_least_once",
            agent_supervisor="mode.supervisors.CrashingSupervisor",
            table_standby_replicas=1,  # selects the sticky assignor; there are no tables
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            stream_buffer_maxsize=2 * _FETCHES_AT_ONCE,
            broker_session_timeout=settings.speed.session_timeout_s,
            broker_rebalance_timeout=settings.speed.session_timeout_s,
            broker_heartbeat_interval=_HEARTBEAT_S,
            broker_commit_interval=_COMMIT_S,
            consumer_max_fetch_size=_FETCH_BYTES,
            consumer_auto_offset_reset="earliest",
            # A topic that was just made may show no partitions at first; ten seconds, not minutes.
            consumer_metadata_max_age_ms=10_000,
            consumer_group_instance_id=member_name(directory),
        )
        start_of, name, has_room = self._start_of, self._topic_name, self._has_room
        polls: Polls[TP] = Polls(settings.speed.batch_records)
        memory = self._memory
        unpack_to_source_records()

        class ConsumerThread(AIOKafkaConsumerThread):
            async def on_start(self) -> None:
                await super().on_start()
                hold_commits_while_joining(self._ensure_consumer()._coordinator)

            async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
                polls.sought(partitions)  # nothing is polled between this and the seek itself
                await super()._seek_wait(consumer, partitions)

            async def _fetch_records(self, *args: Any, **options: Any) -> Any:
                memory.measure()
                if memory.full:
                    await asyncio.sleep(_FETCH_WAIT_MS / 1000)
                    return {}
                options["max_records"] = memory
                pieces = polls.cut(await super()._fetch_records(*args, **options))
                for piece in chain.from_iterable(pieces.values()):
                    memory.hold(piece)
                return pieces

            def _create_worker_consumer(self, transport: Any) -> Any:
                consumer = super()._create_worker_consumer(transport)
                consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
                consumer._value_deserializer = memory.keep
                return consumer

        class Consumer(FaustConsumer):
            def _new_consumer_thread(self) -> ConsumerThread:
                return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

            def _to_message(self, tp: TP, piece: Piece[Any]) -> Any:
                record = consumer_record(tp, piece.records[-1], piece)
                message: Any = super()._to_message(tp, record)
                read_offset = self._read_offset[tp]
                if read_offset is not None and message.offset < read_offset:
                    self._read_offset[tp] = None  # else it would be dropped: it looks like old
                return message

            async def wait_first(self, *waits: Any, timeout: Any = None) -> Any:
                delivery, *others = waits
                if timeout is not None or not others or not has_room():
                    return await super().wait_first(*waits, timeout=timeout)
                for other in others:
                    other.close()
                return await delivery

            async def perform_seek(self) -> None:
                await _seek(self, self._own(), start_of)

            def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
                return iter(self._own())

            def _new_offset(self, tp: TP) -> int | None:
                return start_of(tp.partition) or None

            def _own(self) -> list[TP]:
                try:
                    return [tp for tp in self.assignment() if tp.topic == name]
                except ConsumerNotStarted:
                    return []

        app.transport.Consumer = Consumer  # type: ignore[misc]  # of this app only
        return app

    def _has_room(self) -> bool:
        """Whether a record can be handed over without waiting."""
        app = self._app
        return app.flow_control.is_active() and not any(to.queue.full() for to in app.topics)

    async def _rebalanced(self, *_: Any, **__: Any) -> None:
        try:
            assignment = self._app.consumer.assignment()
            mine = {tp.partition for tp in assignment if tp.topic == self._topic_name}
            await self._assigned(frozenset(mine))
        except Exception as error:  # Faust would log it and go on: `failed` ends the worker
            self._fail(error)
            raise

    async def _consume(self, stream: Any) -> None:
        queue, within_s = stream.channel.queue, self._settings.speed.within_s
        try:
            async for events in taken(queue, _FETCHES_AT_ONCE, within_s):
                await self._handle([Fetch.of(event) for event in events])
                for event in events:  # they are held until the next ones come
                    self._memory.free(event.message.value)
        except Exception as error:  # Faust would log it and go on: `failed` ends the worker
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)


async def _seek(consumer: Any, tps: Sequence[TP], start_of: Callable[[int], int]) -> None:
    starts = {tp: start_of(tp.partition) for tp in tps}
    if not starts:
        return
    await consumer.seek_wait(starts)
    for tp, start in starts.items():
        consumer._read_offset[tp] = start or None
        consumer._committed_offset[tp] = None  # whatever it was: say it again


def _credentials(client: Mapping[str, Any]) -> Any:
    """The same security in Faust's words."""
    protocol, context = client["security_protocol"], client.get("ssl_context")
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=client["sasl_plain_username"],
        password=client["sasl_plain_password"],
        mechanism=client["sasl_mechanism"],
        ssl_context=context,
    )
