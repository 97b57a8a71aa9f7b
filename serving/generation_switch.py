"""Switches to the generation that the pointer file names, without dropping a request.

Every `poll_s` a thread reads `CURRENT`. If it names another generation, and that one can be opened
and read, one reference is replaced and the old generation is retired; its store is closed when its
last request has ended. After an error (pointer damaged or missing, directory missing, wrong spec)
the old generation still answers, the problem is logged once, and the next poll tries again. Some
file descriptors are reserved for this, so a server whose callers use all others still follows a
rollback. A start without a generation is no error; the server is only not ready.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from impressions.core.errors import ImpressionsError, NotReady
from impressions.formats.generation_paths import HostPaths
from impressions.formats.pointer import Pointer
from impressions.process.descriptors import Spare, exhausted, limit
from impressions.settings.model import Settings
from impressions.terminal import log
from serving.served_generation import ServedGeneration, open_generation, read_loaded

_SPARE, _SPARE_SHARE = 64, 8

OnChange = Callable[[ServedGeneration], None]


class GenerationSwitch:
    """The served generation of a host; None until one is activated."""

    def __init__(
        self,
        settings: Settings,
        on_change: OnChange = lambda _: None,
        *,
        optional: bool = False,
    ):
        """`optional`: requests may be answered without a generation, from the stream alone."""
        self._settings, self._on_change, self._optional = settings, on_change, optional
        self._paths = HostPaths(settings.host_dir)
        self._current: ServedGeneration | None = None
        self._problem: str | None = None
        self._spare = Spare(min(_SPARE, limit() // _SPARE_SHARE))
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="generations", daemon=True)

    @property
    def current(self) -> ServedGeneration | None:
        return self._current

    @contextlib.contextmanager
    def lease(self) -> Iterator[ServedGeneration | None]:
        """The generation for one request, from its start to its end; None if there is none and it
        is optional.

        Raises:
            NotReady: none is loaded yet, and one is needed.
        """
        generation = self.acquire()
        try:
            yield generation
        finally:
            if generation is not None:
                generation.release()

    def acquire(self) -> ServedGeneration | None:
        """`lease` for a caller that releases the generation itself. Raises NotReady as it does."""
        while (generation := self._current) is not None:
            if generation.acquire():
                return generation
            # It was closed by a swap between the two lines: the next one is served already.
        if self._optional:
            return None
        raise NotReady(
            "no generation is loaded on this host, expected an active one",
            hint="impressions bulkload activate <generation>",
            reason="no_generation",
        )

    def start(self) -> None:
        """Read the pointer once, then go on in a thread."""
        self.refresh()
        self._watcher.start()

    def stop(self) -> None:
        """Stop the thread and close; requests under way keep their store until they end."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        generation, self._current = self._current, None
        if generation is not None:
            generation.retire()
        self._spare.close()

    def refresh(self) -> None:
        """Read the pointer once, and switch if it names another generation."""
        try:
            self._spare.refill()
            try:
                self._follow()
            except (ImpressionsError, OSError) as error:
                if exhausted(error) is None:
                    raise
                with self._spare.lent():
                    self._follow()
            self._problem = None
        except (ImpressionsError, OSError) as error:
            self._note(error)

    def _follow(self) -> None:
        pointer = self._pointer()
        if pointer is not None and not self._serves(pointer.generation):
            self._swap(self._open(pointer.generation))

    def _watch(self) -> None:
        while not self._stopping.wait(self._settings.serving.poll_s):
            try:
                self.refresh()
            except Exception as error:  # no error may end the thread
                self._note(error)

    def _serves(self, name: str) -> bool:
        """Whether exactly this load of the generation is served; a repeated load must be opened."""
        current = self._current
        if current is None or current.name != name:
            return False
        return current.loaded == read_loaded(self._paths, name)

    def _pointer(self) -> Pointer | None:
        try:
            return Pointer.decode(self._paths.current.read_bytes())
        except FileNotFoundError:
            if self._current is None:
                return None
            raise

    def _open(self, name: str) -> ServedGeneration:
        settings = self._settings
        return open_generation(
            self._paths, name, settings.spec, settings.partitions, settings.host_shards
        )

    def _swap(self, new: ServedGeneration) -> None:
        old, self._current = self._current, new
        log.info("swap", old=old.name if old else "none", new=new.name)
        self._on_change(new)
        if old is not None:
            old.retire()

    def _note(self, error: Exception) -> None:
        problem = f"{type(error).__name__}: {error}"
        if problem != self._problem:
            self._problem = problem
            kept = self._current.name if self._current else "none"
            log.warning("generation-kept", serving=kept, because=problem)
