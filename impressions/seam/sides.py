"""Both sides of a comparison, open for reading: two generations, and one view of the deltas.

Both sides read the same blocks of the stream, from one secondary that does not catch up meanwhile.
So what the stream adds while this runs is on both sides or on none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from impressions.core.completeness import StreamState
from impressions.core.errors import CorruptData, ImpressionsError
from impressions.core.item import profile_key
from impressions.core.merge import merge
from impressions.core.rows import Rows
from impressions.core.spec import Spec
from impressions.deltas.store import DeltaStore, open_secondary, readers_dir, store_dir
from impressions.deltas.stream_state import stream_state
from impressions.formats import delta_block, profile_block
from impressions.formats.delta_block import DeltaBlock
from impressions.formats.manifest import Manifest
from impressions.process.descriptors import exhausted
from impressions.rocksdb import generation_store
from impressions.rocksdb.generation_store import GenerationStore
from impressions.seam.comparable import Cut, Skip
from impressions.settings.model import Settings


@dataclass(frozen=True)
class LoadedSide:
    """A generation on this host.

    Attributes:
        store: where its databases lie.
        shards: those that were loaded.
    """

    manifest: Manifest
    store: Path
    shards: tuple[int, ...]

    def opened(self, shards: tuple[int, ...]) -> contextlib.closing[GenerationStore]:
        """The store of these shards. Raises CorruptData, TooManyFiles."""
        return contextlib.closing(generation_store.open_read_only(self.store, shards))


class Unreadable(ImpressionsError):
    """Something that is not the new generation cannot be read; `skip` says what."""

    def __init__(self, skip: Skip):
        super().__init__(skip.detail, reason=skip.reason)
        self.skip = skip


@contextlib.contextmanager
def unreadable_as(reason: str) -> Iterator[None]:
    """Turn what is raised where the old generation or the copy is read into `Unreadable`.

    Raises:
        TooManyFiles: no descriptor is left; that is no finding about the data.
    """
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:  # rocksdict raises bare Exceptions
        if (full := exhausted(error)) is not None:
            raise full from error
        raise Unreadable(Skip(reason, str(error) or type(error).__name__)) from error


@contextlib.contextmanager
def deltas_of_host(settings: Settings) -> Iterator[DeltaStore]:
    """The host's copy of the deltas as it is now.

    Raises:
        Unreadable: reason `no_copy` or `copy_unreadable`.
    """
    path, own = store_dir(settings), readers_dir(settings) / f"{os.getpid()}-seam"
    if not (path / "CURRENT").is_file():
        raise Unreadable(Skip("no_copy", "this host keeps no copy of the deltas"))
    try:
        with unreadable_as("copy_unreadable"):
            store = open_secondary(path, own)
        with contextlib.closing(store):
            yield store
    finally:
        shutil.rmtree(own, ignore_errors=True)


@dataclass(frozen=True)
class Sides:
    """What is open during a comparison.

    Attributes:
        old, new: the generations.   old_store, new_store: their stores.
    """

    old: LoadedSide
    new: LoadedSide
    old_store: GenerationStore
    new_store: GenerationStore
    deltas: DeltaStore
    spec: Spec

    def answers(self, shard: int, profile_id: int, cut: Cut) -> tuple[Rows, Rows]:
        """What a server with the old generation answers, and what one with the new one.

        Raises:
            Unreadable: the old generation or the copy of the deltas cannot be read.
            CorruptData: the new generation cannot be read.
            TooManyFiles: no descriptor is left.
        """
        with unreadable_as("copy_unreadable"):
            stored = self.deltas.blocks(profile_id, cut.first_ms)
            blocks = [delta_block.decode(block, self.spec) for block in stored]
        with unreadable_as("old_unreadable"):
            before = self._answer(self.old, self.old_store, shard, profile_id, blocks, cut)
        return before, self._answer(self.new, self.new_store, shard, profile_id, blocks, cut)

    def _answer(
        self,
        side: LoadedSide,
        store: GenerationStore,
        shard: int,
        profile_id: int,
        deltas: list[DeltaBlock],
        cut: Cut,
    ) -> Rows:
        try:
            data = store.get(shard, profile_key(profile_id))
        except Exception as error:  # rocksdict raises bare Exceptions
            if (full := exhausted(error)) is not None:
                raise full from error
            raise CorruptData(f"profile {profile_id} cannot be read ({error})") from error
        block = None if data is None else profile_block.decode(data, self.spec)
        return merge(cut.query_ms, side.manifest.cutover_ms, block, deltas, self.spec)


def stream_of(store: DeltaStore, shard: int, spec: Spec) -> StreamState | None:
    """What the copy holds of a shard; None if nothing is known. Raises Unreadable."""
    with unreadable_as("copy_unreadable"):
        state = store.state(shard)
        return None if state is None else stream_state(state, spec)
