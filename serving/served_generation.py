"""One generation while it is served: its open store, its shards, and the leases of the requests.

Immutable once open. A request holds a lease from its start to its end, so all rows of an answer are
of one generation even if the pointer moves meanwhile. After the generation was retired, the request
that releases the last lease closes the store.
"""

from __future__ import annotations

import threading
from pathlib import Path

from impressions.core.errors import CorruptData, ImpressionsError, NotReady, Refused
from impressions.core.item import profile_key
from impressions.core.shard import shard_of
from impressions.core.spec import Spec
from impressions.formats import manifest as manifests
from impressions.formats import profile_block
from impressions.formats.generation_paths import HostPaths
from impressions.formats.manifest import Manifest
from impressions.formats.pointer import Loaded
from impressions.formats.profile_block import ProfileBlock
from impressions.formats.seam_record import SeamRecord
from impressions.process.descriptors import exhausted
from impressions.rocksdb.generation_store import GenerationStore, open_read_only
from serving.error_status import ShardNotOwned

_PROBES = 4


class ServedGeneration:
    """A loaded generation, open for reading.

    Attributes:
        name, cutover_ms, manifest: as published.
        loaded: the record of the load that brought it here; each load writes another one.
        shards: those that are loaded here and that this host owns, ascending.
        owned: the same as a set.
        seam: what its activation found when it compared it with the one before, if it is known.
    """

    def __init__(
        self,
        manifest: Manifest,
        loaded: Loaded,
        shards: tuple[int, ...],
        store: GenerationStore,
        spec: Spec,
        seam: SeamRecord | None = None,
    ):
        self.seam = seam
        self.name, self.cutover_ms = manifest.generation, manifest.cutover_ms
        self.manifest, self.loaded, self.shards = manifest, loaded, shards
        self.owned, self._store, self._spec = frozenset(shards), store, spec
        self._lock = threading.Lock()
        self._leases, self._retired, self.closed = 0, False, False

    def block(self, profile_id: int) -> ProfileBlock | None:
        """The block of a profile; None if the generation has none.

        Raises:
            ShardNotOwned: another host serves this profile.
            CorruptData: the block cannot be read.
            TooManyFiles: no descriptor is left to read it.
        """
        data = self.stored_in(self._owned_shard(profile_id), profile_id)
        return None if data is None else profile_block.decode(data, self._spec)

    def stored_in(self, shard: int, profile_id: int, *, waits: bool = False) -> bytes | None:
        """The stored bytes of that block, for a caller that knows the shard, one of `shards`;
        `waits`: see `GenerationStore.get`."""
        try:
            return self._store.get(shard, profile_key(profile_id), waits=waits)
        except Exception as error:  # rocksdict raises bare Exceptions
            raise self._unreadable(error) from error

    def acquire(self) -> bool:
        """Take a lease, which keeps the store open until `release`; False once it is closed."""
        with self._lock:
            if self.closed:
                return False
            self._leases += 1
            return True

    def release(self) -> None:
        """Give up a lease."""
        with self._lock:
            self._leases -= 1
            self._close_if_unused()

    def retire(self) -> None:
        """No lease is acquired from now on: close at once, or when the last one is released."""
        with self._lock:
            self._retired = True
            self._close_if_unused()

    def probe(self) -> None:
        """Count all rows, read and decode a few blocks; a generation that fails is never served.

        The count is needed because RocksDB opens a shard with a truncated list of files without an
        error, as if it were empty.
        """
        for shard in self.shards:
            expected = sum(file.rows for file in self.manifest.of_shards((shard,)))
            if (rows := self._store.rows(shard)) != expected:
                raise CorruptData(
                    f"generation {self.name}: shard {shard} holds {rows} rows, expected {expected}",
                    hint=f"impressions bulkload load {self.name} --again",
                )
        files = [file for file in self.manifest.files if file.shard in self.owned]
        for file in files[:: max(1, len(files) // _PROBES)]:
            if self.block(int(file.min_key, 16)) is None:
                raise CorruptData(
                    f"generation {self.name}: a profile of its manifest is not in the store",
                    hint=f"impressions bulkload verify {self.name}",
                )

    def _owned_shard(self, profile_id: int) -> int:
        shard = shard_of(profile_id, self.manifest.partitions)
        if shard not in self.owned:
            raise ShardNotOwned(shard, self.shards)
        return shard

    def _unreadable(self, error: Exception) -> ImpressionsError:
        if (full := exhausted(error)) is not None:
            return full
        # RocksDB's own text names files of this machine: it goes to the log only, as __cause__.
        kind = str(error).partition(":")[0]
        return CorruptData(
            f"a stored block of generation {self.name} cannot be read ({kind})",
            hint=f"impressions bulkload verify {self.name}",
        )

    def _close_if_unused(self) -> None:
        if self._retired and not self._leases and not self.closed:
            self.closed = True
            self._store.close()


def open_generation(
    paths: HostPaths, name: str, spec: Spec, partitions: int, host_shards: tuple[int, ...]
) -> ServedGeneration:
    """Open and probe a loaded generation.

    Raises:
        NotReady: it is not loaded here.
        CorruptData: a damaged manifest, load record or store.
        TooManyFiles: no descriptor is left to open it.
        Refused: made with another spec, number of partitions or partitioner than this host's.
    """
    manifest = manifests.decode(_read(paths.manifest(name), name))
    loaded = read_loaded(paths, name)
    if not manifest.generation == loaded.generation == name:
        raise Refused(
            f"generation {name}: its files name {manifest.generation} and {loaded.generation}",
            hint=f"impressions bulkload load {name}",
        )
    manifests.check_fits(manifest, spec, partitions)
    shards = tuple(sorted(set(loaded.shards) & set(host_shards)))
    store = _open_store(paths, name, shards)
    seam = _read_seam(paths, name)
    generation = ServedGeneration(manifest, loaded, shards, store, spec, seam)
    try:
        generation.probe()
    except ImpressionsError:
        generation.retire()
        raise
    return generation


def read_loaded(paths: HostPaths, name: str) -> Loaded:
    """The load record of a generation. Raises NotReady or CorruptData."""
    return Loaded.decode(_read(paths.loaded(name), name))


def _read_seam(paths: HostPaths, name: str) -> SeamRecord | None:
    """The record of its activation; None where there is none that can be read: it decides
    nothing."""
    try:
        return SeamRecord.decode(paths.seam(name).read_bytes())
    except (OSError, CorruptData):
        return None


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        if (full := exhausted(error)) is not None:
            raise full from error
        raise NotReady(
            f"generation {name} is not loaded on this host ({error.strerror})",
            hint=f"impressions bulkload load {name}",
        ) from error


def _open_store(paths: HostPaths, name: str, shards: tuple[int, ...]) -> GenerationStore:
    store = paths.store(name)
    if not store.is_dir():
        raise NotReady(
            f"generation {name} has no store on this host",
            hint=f"impressions bulkload load {name}",
        )
    try:
        return open_read_only(store, shards)
    except CorruptData as error:
        raise CorruptData(
            f"generation {name}: its store cannot be opened",
            hint=f"impressions bulkload verify {name}",
        ) from error
