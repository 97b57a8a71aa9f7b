"""The table of deltas: one database that is rewritten all the time.

One process opens it as `primary`. Any number of others open it as `secondary`; they see what the
primary has written each time they call `catch_up`. Keys and values are plain bytes. Blocks are
compressed (lz4), writes go to the write-ahead log first, and all tables of a process share one
block cache and one limit of write buffers.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from rocksdict import (
    AccessType,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    SliceTransform,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from impressions.core.errors import CorruptData, ImpressionsError, NotReady, Refused
from impressions.process.descriptors import exhausted
from impressions.rocksdb.file_list import file_list
from impressions.rocksdb.opening import block_options, opened
from impressions.rocksdb.scan import scan, values

CACHE_BYTES = 64 << 20
"""The block cache that all tables of a process share."""
BUFFERS_BYTES = 64 << 20
"""The most that all tables of a process hold in memory before they write files."""
_BUFFER_BYTES = 16 << 20
_FILES, _FILES_WHILE_FILLING, _FILES_SLOW, _FILES_STOP = 4, 16, 36, 60
"""The number of new files at which they are compacted, and at which writes are slowed down or
stopped: far above what filling leaves, or writes would stop when it ends."""
_MEMTABLE_BLOOM = 0.01
"""Of a write buffer: room for a bloom filter of its keys. Files have one (opening.py); without one
in memory, a look for a slot that is not there, as most are, searches a skip list. More would count:
each table takes it at once, and a worker has a table for each partition."""
_TRIES = 20  # of a secondary, one after the other, while the primary's files change


class DeltaTable:
    """An open table.

    Every method raises CorruptData for a damaged block, TooManyFiles if no descriptor is left, and
    NotReady, reason "store", if the disk fails. After one of the latter two, a primary must be
    opened again.
    """

    def __init__(self, db: Rdict, path: Path, logged: bool = True):
        self._db, self._path, self._logged, self._filling = db, path, logged, False

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # rocksdict raises bare Exceptions
            raise _failure(error) from error
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key, in order; one call for all."""
        if not keys:
            return []
        try:
            return list(self._db.get(list(keys)) or ())
        except Exception as error:  # rocksdict raises bare Exceptions
            raise _failure(error) from error

    def values(self, prefix: bytes, lower: bytes, upper: bytes) -> list[bytes]:
        """The values of lower..upper, ascending by key; all of them begin with `prefix`, which has
        the length that `open_primary` was given."""
        return values(self._db, lower, upper, of_prefix=bool(prefix))

    def scan(self, lower: bytes = b"", upper: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) of lower..upper, ascending; close the generator if you leave early."""
        return scan(self._db, lower, upper)

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        """One atomic write; `open_primary` and `fill` tell what is lost if the process dies."""
        batch = WriteBatch(raw_mode=True)
        # In order, so that what was searched for one key is near what the next one needs. Of equal
        # keys the last one counts, as it stands.
        for key, value in sorted(puts, key=itemgetter(0)):
            batch.put(key, value)
        for key in deletes:
            batch.delete(key)
        try:
            self._db.write(batch, _UNLOGGED if self._filling or not self._logged else None)
        except Exception as error:  # rocksdict raises bare Exceptions
            raise _failure(error) from error

    def fill(self) -> None:
        """Of a primary: write faster until `filled`, for data that the topic still has.

        The write-ahead log is not written, and files are compacted later. If the process dies, all
        writes after some point are lost; a secondary sees writes later, some megabytes at a time.
        """
        self._compact_at(_FILES_WHILE_FILLING)
        self._filling = True

    def filled(self) -> None:
        """End `fill`, if it was begun: write everything to files, and log writes again."""
        if not self._filling:
            return
        try:
            self._db.flush()
        except Exception as error:  # rocksdict raises bare Exceptions
            raise _failure(error) from error
        self._compact_at(_FILES)
        self._filling = False

    def _compact_at(self, files: int) -> None:
        try:
            self._db.set_options({"level0_file_num_compaction_trigger": str(files)})
        except Exception as error:  # rocksdict raises bare Exceptions
            raise _failure(error) from error

    def catch_up(self) -> None:
        """Of a secondary: see everything that the primary has written until now, without a gap.

        While this runs, and after an error, writes may be missing although newer ones are there
        (impressions/rocksdb/file_list.py): read nothing then. NotReady has the reason "unsettled"
        if the primary's files change too fast, or are gone.
        """
        for _ in range(_TRIES):
            try:
                before = file_list(self._path)
                self._db.try_catch_up_with_primary()
                if before is not None and file_list(self._path) == before:
                    return
            except Exception as error:  # rocksdict raises bare Exceptions
                raise _failure(error) from error
        raise NotReady(f"store {self._path} changes faster than it can be read", reason="unsettled")

    @property
    def cache(self) -> tuple[int, int]:
        """(capacity, usage) in bytes of the block cache, as RocksDB reports them."""
        names = ("rocksdb.block-cache-capacity", "rocksdb.block-cache-usage")
        capacity, used = (self._db.property_int_value(name) or 0 for name in names)
        return capacity, used

    def close(self) -> None:
        try:
            self._db.close()
        except Exception as error:  # rocksdict raises bare Exceptions
            raise _failure(error) from error


def open_primary(path: Path, prefix_bytes: int, logged: bool = True) -> DeltaTable:
    """Open a table for reading and writing, or make it; `values` reads by the first `prefix_bytes`
    of the keys.

    Args:
        logged: if the process dies, no write is lost, and secondaries see all of them. Without it,
            all writes after some point are lost.

    Raises:
        Refused: reason "locked": another process has it open as primary.
        CorruptData, NotReady: see `DeltaTable`.
    """
    path.mkdir(parents=True, exist_ok=True)
    try:
        return DeltaTable(_open_table(path, prefix_bytes, AccessType.read_write()), path, logged)
    except Exception as error:  # rocksdict raises bare Exceptions
        raise _failure(error, path) from error


def open_secondary(path: Path, own: Path, prefix_bytes: int) -> DeltaTable:
    """Open a table that a primary writes, for reading; `own` is a directory for this reader alone.
    It has caught up.

    Raises:
        NotReady: reason "no_store": there is none yet.
        CorruptData, NotReady: see `DeltaTable`.
    """
    if not (path / "CURRENT").is_file():
        raise NotReady(f"store {path} is not there yet", reason="no_store")
    own.mkdir(parents=True, exist_ok=True)
    access = AccessType.secondary(str(own))
    try:
        table = DeltaTable(_open_table(path, prefix_bytes, access), path)
    except Exception as error:  # rocksdict raises bare Exceptions
        raise _failure(error, path) from error
    table.catch_up()
    return table


def _open_table(path: Path, prefix_bytes: int, access: AccessType) -> Rdict:
    return opened(path, _table_options(prefix_bytes), access)


@functools.cache
def _shared() -> tuple[Cache, WriteBufferManager]:
    return Cache(CACHE_BYTES), WriteBufferManager(BUFFERS_BYTES, False)


def _unlogged() -> WriteOptions:
    options = WriteOptions()
    options.disable_wal = True  # type: ignore[method-assign, assignment]  # the stub is wrong
    return options


_UNLOGGED = _unlogged()


def _table_options(prefix_bytes: int) -> Options:
    cache, buffers = _shared()
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_manager(buffers)
    options.set_write_buffer_size(_BUFFER_BYTES)
    options.set_level_zero_file_num_compaction_trigger(_FILES)
    options.set_level_zero_slowdown_writes_trigger(_FILES_SLOW)
    options.set_level_zero_stop_writes_trigger(_FILES_STOP)
    options.set_max_open_files(-1)  # what a secondary has open, the primary may delete
    options.set_keep_log_file_num(2)
    options.set_memtable_prefix_bloom_ratio(_MEMTABLE_BLOOM)
    options.set_memtable_whole_key_filtering(True)
    options.set_prefix_extractor(SliceTransform.create_fixed_prefix(prefix_bytes))
    blocks = block_options()
    blocks.set_block_cache(cache)
    options.set_block_based_table_factory(blocks)
    return options


def _failure(error: Exception, path: Path | None = None) -> ImpressionsError:
    """RocksDB's error as one of ours; its text names files of this machine, so it is only kept as
    `__cause__`."""
    if (full := exhausted(error)) is not None:  # first, because the lock needs a descriptor too
        return full
    kind, text = str(error).partition(":")[0], str(error)
    if path is not None and ("LOCK" in text or "lock hold" in text):
        return Refused(
            f"store {path} is open in another process", hint="stop it first", reason="locked"
        )
    if kind == "Corruption":
        return CorruptData("a stored block of the deltas cannot be read (Corruption)")
    return NotReady(f"the store cannot be used ({kind})", hint="is the disk full?", reason="store")
