"""The proof that a loaded generation will answer on this host, before the pointer names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkload.host import Host
from bulkload.loaded_generations import LoadedGeneration
from impressions.core.errors import CorruptData, NotReady
from impressions.formats import profile_block
from impressions.formats.manifest import check_fits
from impressions.process.descriptors import exhausted
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from impressions.rocksdb.generation_store import GenerationStore


def prove_ready(host: Host, loaded: LoadedGeneration, settings: Settings) -> None:
    """Open the store and read the first and the last profile of each file.

    The reads also bring these blocks into the page cache.

    Raises:
        NotReady: it was loaded without a shard that this host owns.
        Refused: it does not fit this host's settings.
        CorruptData: the store or one of these profiles is damaged.
    """
    generation, shards = loaded.generation, loaded.record.shards
    check_fits(loaded.manifest, settings.spec, settings.partitions)
    if absent := sorted(set(settings.host_shards) - set(shards)):
        raise NotReady(
            f"generation {generation}: loaded without shards {absent}, which this host owns",
            hint=f"impressions bulkload load {generation}",
            reason="missing_shards",
        )
    from impressions.rocksdb import generation_store

    try:
        store = generation_store.open_read_only(host.paths.store(generation), shards)
    except CorruptData as error:
        raise _damaged(generation, error.message) from error
    try:
        for file in loaded.manifest.of_shards(shards):
            for key in {file.min_key, file.max_key}:
                _read_one(store, file.shard, generation, key, settings)
    finally:
        store.close()


def _read_one(
    store: GenerationStore, shard: int, generation: str, key: str, settings: Settings
) -> None:
    where = f"generation {generation}: key {key}"
    try:
        value = store.get(shard, bytes.fromhex(key))
    except Exception as error:  # rocksdict raises bare Exceptions
        if (full := exhausted(error)) is not None:
            raise full from error
        raise _damaged(generation, f"{where}: {error}") from error
    if value is None:
        raise _damaged(generation, f"{where} is missing")
    try:
        profile_block.decode(value, settings.spec)
    except CorruptData as error:
        raise _damaged(generation, f"{where}: {error.message}") from None


def _damaged(generation: str, message: str) -> CorruptData:
    return CorruptData(message, hint=f"impressions bulkload load {generation} --again")
