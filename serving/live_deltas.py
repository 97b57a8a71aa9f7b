"""The live half of an answer: the deltas of a profile, read from this host's copy of the topic.

A follower process writes the copy (impressions/deltas/process.py). Each server process opens it as
a RocksDB secondary, and one thread catches up; requests never do. It does so whenever the follower
tells that it has written (impressions/deltas/news.py), some milliseconds apart, and every
`serving.catch_up_s` whether told or not. In: shard, profile, the first slot wanted. Out: the delta
blocks, and the state of the stream that is true for them.

A secondary changes only while it catches up. What it shows between two catch-ups is a view of one
moment: blocks and the state that is true for them, so each shard's state is read and decoded once
for a view, by the first request that asks. The follower writes down dropped slots, and the restart
of a copy, before it deletes data, so no view has less than its state says.

While a secondary catches up, and where that fails, blocks may be missing although the state is
newer (impressions/rocksdb/file_list.py). So no request reads during a catch-up, and a copy that
could not catch up is not read any more: answers are flagged until it was opened again. The thread
that takes calls does not wait for the end of a catch-up: it leaves the read to the pool.

A secondary can show old data without an error (docs/decisions/0015). So the copy is opened again
when a new follower has opened it, and when no partition's state has changed for some seconds. That
takes milliseconds, and the interval grows while the follower has nothing to write.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from impressions.clock import monotonic_s
from impressions.core.completeness import StreamState
from impressions.core.errors import ImpressionsError, NotReady
from impressions.deltas.news import News
from impressions.deltas.store import (
    DeltaStore,
    decode_state,
    news_dir,
    open_secondary,
    readers_dir,
    store_dir,
)
from impressions.deltas.stream_state import stream_state
from impressions.formats import heartbeat
from impressions.kafka import client
from impressions.process.registry import birth_of
from impressions.settings.model import Settings
from impressions.terminal import log
from serving.reads import Deltas

UNKNOWN = StreamState(None, heartbeat.FROM_THE_FIRST_MS, restoring=False)
"""The state of a shard that this host has no copy of yet."""
T = TypeVar("T")
UNCHANGED_S, _LONGEST_S = 5.0, 60.0
_APART_S = 0.005
_numbers = itertools.count()


def is_configured(settings: Settings) -> bool:
    """Whether answers contain the stream: `serving.deltas`; auto: if a broker is configured."""
    wanted = settings.serving.deltas
    return wanted == "on" or (wanted == "auto" and client.find_bootstrap(settings) is not None)


class _View:
    """What an open copy shows between two catch-ups; the states that were asked for, by shard."""

    def __init__(self, store: DeltaStore):
        self.store = store
        self.states: dict[int, StreamState] = {}


class LiveDeltas:
    """A reader of the host's copy; a `DeltasOf` (serving/reads.py).

    Attributes:
        on_refresh: called after every refresh, every `serving.catch_up_s`.
    """

    def __init__(self, settings: Settings):
        self._settings, self._spec = settings, settings.spec
        self._every_s = settings.serving.catch_up_s
        self._path = store_dir(settings)
        self.on_refresh: Callable[[], None] = lambda: None
        self._readers = readers_dir(settings)
        self._own = self._readers / f"{os.getpid()}-{next(_numbers)}"
        self._view: _View | None = None
        self._catching_up, self._catch_ups = threading.Lock(), 0
        self._identity: tuple[int, ...] | None = None
        self._shards = settings.host_shards
        self._refreshed_s = self._changed_s = monotonic_s()
        self._seen: list[bytes | None] = []
        self._reopen_after_s = UNCHANGED_S
        self._problem: str | None = None
        self._stopping = threading.Event()
        self._news: News | None = None
        self._thread = threading.Thread(target=self._keep_refreshing, name="deltas", daemon=True)

    def __call__(self, shard: int, profile_id: int, from_slot_ms: int) -> Deltas:
        """The stored blocks of a profile, slots ascending, and the stream state for them.

        Raises:
            CorruptData: they cannot be read.
        """
        return self._at_rest(lambda view: self._read(view, shard, profile_id, from_slot_ms))

    def at_once(self, shard: int, profile_id: int, from_slot_ms: int) -> Deltas:
        """The same for a thread that may not wait.

        Raises:
            NotReady: reason "catching_up".
        """
        return self._at_rest(
            lambda view: self._read(view, shard, profile_id, from_slot_ms), waits=False
        )

    def _at_rest(self, read: Callable[[_View | None], T], *, waits: bool = True) -> T:
        """What `read` finds where no catch-up comes into it: `_catch_ups` is odd during one."""
        catch_ups = self._catch_ups
        if not catch_ups % 2:
            try:
                found = read(self._view)
                if catch_ups == self._catch_ups:
                    return found
            except ImpressionsError:
                if catch_ups == self._catch_ups:
                    raise
        if not waits:
            raise NotReady("the copy of the deltas catches up just now", reason="catching_up")
        with self._catching_up:
            return read(self._view)

    def _read(self, view: _View | None, shard: int, profile_id: int, from_slot_ms: int) -> Deltas:
        if view is None:
            return Deltas((), UNKNOWN)
        return Deltas(view.store.blocks(profile_id, from_slot_ms), self._state(view, shard))

    @property
    def staleness_s(self) -> float:
        """Seconds since the last refresh that succeeded."""
        return monotonic_s() - self._refreshed_s

    def state(self, shard: int) -> StreamState:
        """The stream state of a shard in the copy. Raises CorruptData if it cannot be read."""
        return self._at_rest(lambda view: self._state(view, shard))

    def start(self) -> None:
        """Refresh once, then go on in a thread."""
        _remove_abandoned(self._readers)
        try:
            self._news = News(news_dir(self._settings) / self._own.name)
        except OSError as error:
            log.warning("no-news", because=error, instead="looks every serving.catch_up_s")
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and close; no request may be under way."""
        self._stopping.set()
        if self._news is not None:
            self._news.tell()
        if self._thread.is_alive():
            self._thread.join()
        if self._news is not None:
            self._news.close()
        view, self._view = self._view, None
        if view is not None:
            view.store.close()
        shutil.rmtree(self._own, ignore_errors=True)

    def refresh(self) -> None:
        """Catch up with the follower; an error is logged once."""
        self._look(lambda view: not self._is_stuck(view))
        self.on_refresh()

    def _look(self, is_sound: Callable[[_View], bool] = lambda _: True) -> None:
        try:
            identity, view = _identity(self._path), self._view
            stays = identity == self._identity and view is not None and is_sound(view)
            if view is None or not stays or not self._caught_up(view.store):
                # Reads under way keep the view they began with.
                self._view = _View(open_secondary(self._path, self._own))
                self._identity = identity
            self._refreshed_s, self._problem = monotonic_s(), None
        except (ImpressionsError, OSError) as error:
            self._note(error)

    def _caught_up(self, store: DeltaStore) -> bool:
        """Catch up; False where a follower opened the copy meanwhile. After that, and after an
        error, the store is not read any more."""
        with self._catching_up:
            self._catch_ups += 1
            self._view = None
            try:
                store.catch_up()
                if _identity(self._path) == self._identity:
                    self._view = _View(store)
            finally:
                self._catch_ups += 1
            return self._view is not None

    def _is_stuck(self, view: _View) -> bool:
        """Whether no state has changed for so long that the copy must be opened again."""
        states = [view.store.state_bytes(shard) for shard in self._shards]
        now_s = monotonic_s()
        if states != self._seen:
            self._seen, self._changed_s, self._reopen_after_s = states, now_s, UNCHANGED_S
        if now_s - self._changed_s < self._reopen_after_s:
            return False
        self._changed_s = now_s
        self._reopen_after_s = min(2 * self._reopen_after_s, _LONGEST_S)
        return True

    def _keep_refreshing(self) -> None:
        due_s = monotonic_s() + self._every_s
        while not self._stopping.wait(_APART_S):
            try:
                if self._has_news(due_s - monotonic_s()):
                    self._look()
                else:
                    due_s = monotonic_s() + self._every_s
                    self.refresh()
            except Exception as error:  # no error may end the thread
                self._note(error)

    def _has_news(self, within_s: float) -> bool:
        """Wait for news of the copy; False if there was none."""
        if within_s <= 0:
            return False
        if self._news is None:
            self._stopping.wait(within_s)
            return False
        return self._news.wait(within_s)

    def _state(self, view: _View | None, shard: int) -> StreamState:
        if view is None:
            return UNKNOWN
        state = view.states.get(shard)
        if state is None:
            data = view.store.state_bytes(shard)
            state = UNKNOWN if data is None else stream_state(decode_state(data), self._spec)
            view.states[shard] = state
        return state

    def _note(self, error: Exception) -> None:
        problem = f"{type(error).__name__}: {error}"
        if problem != self._problem:
            self._problem = problem
            log.warning("deltas", because=problem)


def _identity(path: Path) -> tuple[int, ...] | None:
    """Differs for each copy, and for each follower process that has opened it; None without a copy.

    A follower that opens its copy begins a new list of files, and CURRENT names it. A secondary
    that was opened earlier may go on showing what it last read from the former process's log,
    instead of what was written later (facebook/rocksdb#14444).
    """
    with contextlib.suppress(FileNotFoundError):
        files = [(path / name).stat() for name in ("IDENTITY", "CURRENT")]
        return tuple(n for file in files for n in (file.st_ino, file.st_mtime_ns))
    return None


def _remove_abandoned(readers: Path) -> None:
    """Remove the directories of readers that were killed."""
    for path in readers.glob("*-*"):
        pid = path.name.partition("-")[0]
        if pid.isdigit() and birth_of(int(pid)) is None:
            shutil.rmtree(path, ignore_errors=True)
