"""RocksDB as this project uses it: two kinds of store, one way to open each, one way to scan.

Raw mode everywhere (keys and values are plain bytes).

    Store    a generation: immutable, written as SST files, ingested once, opened read-only with
             mmap reads and no compression, so that processes share the page cache and a warm get
             copies nothing twice. A directory with one database per shard. Files of one shard do
             not overlap, so each lies on the last level and a get reads one block; those of
             different shards do, and in one database a get would try them all
             (docs/decisions/0002). Misses are read twice (docs/decisions/0021)
    Table    one database that is rewritten all the time: lz4, write-ahead log, bounded buffers and
             one block cache for all tables of a process. One process opens it as `primary`; any
             others as `secondary`, which see what the primary has written once they `catch_up`

`_scan` is the only scan in the code base. RocksDB's own iterators end *silently* at a damaged
block; only the iterator's status tells. (A test bans the others.)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    IngestExternalFileOptions,
    Options,
    Rdict,
    ReadOptions,
    SliceTransform,
    SstFileWriter,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from impressions.core.errors import CorruptData, ImpressionsError, NotReady, Refused
from impressions.formats.generation_paths import shard_dir
from impressions.process.descriptors import exhausted

BLOOM_BITS_PER_KEY = 10
CACHE_BYTES = 64 << 20
"""The block cache that all tables of a process share."""
BUFFERS_BYTES = 64 << 20
"""What all tables of a process may hold in memory before they write files."""
_BUFFER_BYTES = 16 << 20
_FILES, _FILES_WHILE_FILLING, _FILES_SLOW, _FILES_STOP = 4, 16, 36, 60
"""New files of a table that are compacted together, and those that slow writes down or stop them:
far from what filling leaves behind, or its end would be a standstill."""


def generation_options(*, verify_index: bool = False) -> Options:
    """Options of a generation: for its SST writers, its ingest and its readers alike.

    Args:
        verify_index: read a file's index at every get, with its checksum. RocksDB would keep it in
            the block cache, but what is read by mmap is never kept there.
    """
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.none())
    options.set_allow_mmap_reads(True)
    options.set_max_open_files(-1)
    options.set_disable_auto_compactions(True)
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, block_based=False)
    blocks.set_cache_index_and_filter_blocks(verify_index)
    options.set_block_based_table_factory(blocks)
    return options


def sst_writer(path: Path) -> SstFileWriter:
    """A writer of one SST file; keys strictly ascending, at least one, then `finish()`."""
    writer = SstFileWriter(options=generation_options())
    writer.open(str(path))
    return writer


def create(path: Path, files: Mapping[int, Sequence[Path]]) -> None:
    """Make a store of SST files by shard, which are moved into it; one atomic call per shard.

    A shard without files gets an empty database, so that "absent" always means damage.
    """
    options = IngestExternalFileOptions()
    options.set_move_files(True)
    for shard, of_shard in files.items():
        directory = path / shard_dir(shard)
        directory.parent.mkdir(parents=True, exist_ok=True)
        db = Rdict(str(directory), generation_options())
        try:
            if of_shard:
                db.ingest_external_file([str(file) for file in of_shard], options)
        finally:
            db.close()


class Store:
    """A generation's store, open for reading; any number of processes may hold it.

    RocksDB verifies the index of a file when it opens it, then reads it by mmap. What rots in it
    later leads a get astray, to a block that is sound and does not hold the key. So each shard is
    open twice, and a key that is not found is looked for once more where every read verifies the
    index: damage never looks like absence.
    """

    def __init__(self, databases: dict[int, Rdict], verifying: dict[int, Rdict]):
        self._databases, self._verifying = databases, verifying

    def get(self, shard: int, key: bytes) -> bytes | None:
        """The value of a key of this shard; None if it is not there.

        Raises:
            Exception: what RocksDB says of a damaged block or index, or of no descriptor left
                (impressions/process/descriptors.py `exhausted` tells).
        """
        value: bytes | None = self._databases[shard].get(key)
        if value is None:
            value = self._verifying[shard].get(key)
        return value

    def rows(self, shard: int) -> int:
        """How many rows the files of a shard have, by their own account."""
        return sum(int(file["num_entries"]) for file in self._databases[shard].live_files())

    def scan(self, shard: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) of a shard, ascending, or of all, one after the other; checksums
        verified.

        Raises:
            CorruptData: a block is damaged. Rows before it have been yielded.
        """
        for each in self._databases if shard is None else (shard,):
            yield from _scan(self._databases[each])

    def close(self) -> None:
        for database in (*self._databases.values(), *self._verifying.values()):
            database.close()


def open_read_only(path: Path, shards: Iterable[int]) -> Store:
    """Open these shards of a store.

    Raises:
        CorruptData: one of them is not there or cannot be opened.
        TooManyFiles: no descriptor is left to open them.
    """
    plain: dict[int, Rdict] = {}
    verifying: dict[int, Rdict] = {}
    for shard in shards:
        directory = path / shard_dir(shard)
        try:
            plain[shard] = _open_shard(directory, generation_options())
            verifying[shard] = _open_shard(directory, generation_options(verify_index=True))
        except Exception as error:  # rocksdict raises bare Exceptions
            Store(plain, verifying).close()
            if (full := exhausted(error)) is not None:
                raise full from error
            raise CorruptData(f"store {directory} cannot be opened ({error})") from error
    return Store(plain, verifying)


def _open_shard(directory: Path, options: Options) -> Rdict:
    # Looked for first, because opening a database that is absent creates its directory.
    if not (directory / "CURRENT").is_file():
        raise FileNotFoundError("not there")
    access = AccessType.read_only(error_if_log_file_exist=False)
    # Options of a family that is not named are those it was made with, whatever stands here.
    return Rdict(str(directory), options, {"default": options}, access)


class Table:
    """A database that is read and rewritten.

    Every method raises CorruptData for a damaged block, TooManyFiles without a descriptor left, and
    NotReady, reason "store", when the disk says no; a primary that got one of the latter two must
    be opened again.
    """

    def __init__(self, db: Rdict, logged: bool = True):
        self._db, self._logged, self._filling = db, logged, False

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
        """The values of lower..upper, ascending by key; all of these keys begin with `prefix`, the
        first bytes that `open_primary` was given."""
        return [value for _, value in _scan(self._db, lower, upper, of_prefix=bool(prefix))]

    def scan(self, lower: bytes = b"", upper: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) of lower..upper, ascending; close the generator if you leave early."""
        return _scan(self._db, lower, upper)

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = ()) -> None:
        """All of it or, should the process die, nothing of it; see `open_primary` and `fill`."""
        batch = WriteBatch(raw_mode=True)
        for key, value in puts:
            batch.put(key, value)
        for key in deletes:
            batch.delete(key)
        try:
            self._db.write(batch, _UNLOGGED if self._filling or not self._logged else None)
        except Exception as error:  # rocksdict raises bare Exceptions
            raise _failure(error) from error

    def fill(self) -> None:
        """Of a primary: write faster from now on, until `filled`, what can be had again elsewhere.

        No log is written, and files are compacted when there are more of them. Should the process
        die, the last writes are lost, all from some point on; a secondary sees writes later, some
        megabytes at once.
        """
        self._compact_at(_FILES_WHILE_FILLING)
        self._filling = True

    def filled(self) -> None:
        """The end of `fill`, if it was begun: everything is in files, writes are logged again."""
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
        """Of a secondary: see what the primary has written by now."""
        try:
            self._db.try_catch_up_with_primary()
        except Exception as error:  # rocksdict raises bare Exceptions
            raise _failure(error) from error

    @property
    def cache(self) -> tuple[int, int]:
        """(capacity, usage) of the block cache that RocksDB says it reads through, in bytes."""
        names = ("rocksdb.block-cache-capacity", "rocksdb.block-cache-usage")
        capacity, used = (self._db.property_int_value(name) or 0 for name in names)
        return capacity, used

    def close(self) -> None:
        self._db.close()


def open_primary(path: Path, prefix_bytes: int, logged: bool = True) -> Table:
    """Open a table for reading and writing, or make it; reads go by keys' first `prefix_bytes`.

    Args:
        logged: should the process die, nothing is lost that was written, and secondaries see
            everything. Else the last writes are lost then, all from some point on.

    Raises:
        Refused: reason "locked": another process has it open so.
        CorruptData, NotReady: see `Table`.
    """
    path.mkdir(parents=True, exist_ok=True)
    try:
        return Table(_open_table(path, prefix_bytes, AccessType.read_write()), logged)
    except Exception as error:  # rocksdict raises bare Exceptions
        raise _failure(error, path) from error


def open_secondary(path: Path, own: Path, prefix_bytes: int) -> Table:
    """Open a table that a primary writes, for reading; `own` is a directory for this reader alone.

    Raises:
        NotReady: reason "no_store": there is none yet.
        CorruptData, NotReady: see `Table`.
    """
    if not (path / "CURRENT").is_file():
        raise NotReady(f"store {path} is not there yet", reason="no_store")
    own.mkdir(parents=True, exist_ok=True)
    access = AccessType.secondary(str(own))
    try:
        return Table(_open_table(path, prefix_bytes, access))
    except Exception as error:  # rocksdict raises bare Exceptions
        raise _failure(error, path) from error


def _open_table(path: Path, prefix_bytes: int, access: AccessType) -> Rdict:
    options = _table_options(prefix_bytes)
    # Options of a family that is not named are those of its first opening, read from a file, which
    # knows no cache: RocksDB's own then, small and private.
    return Rdict(str(path), options, {"default": options}, access)


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
    options.set_prefix_extractor(SliceTransform.create_fixed_prefix(prefix_bytes))
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, block_based=False)
    options.set_block_based_table_factory(blocks)
    return options


def _failure(error: Exception, path: Path | None = None) -> ImpressionsError:
    """What RocksDB says, as one of our errors; its text names files of this machine, so it stays in
    `__cause__`."""
    if (full := exhausted(error)) is not None:  # first: it may be the lock that has no descriptor
        return full
    kind, text = str(error).partition(":")[0], str(error)
    if path is not None and ("LOCK" in text or "lock hold" in text):
        return Refused(
            f"store {path} is open in another process", hint="stop it first", reason="locked"
        )
    if kind == "Corruption":
        return CorruptData("a stored block of the deltas cannot be read (Corruption)")
    return NotReady(f"the store cannot be used ({kind})", hint="is the disk full?", reason="store")


def _scan(
    db: Rdict, lower: bytes = b"", upper: bytes | None = None, *, of_prefix: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    options = ReadOptions()
    if of_prefix:  # one prefix: files without it are skipped, by their bloom filters
        options.set_prefix_same_as_start(True)
    else:
        options.set_total_order_seek(True)
        options.fill_cache(False)  # type: ignore[call-arg]  # the stub calls it a property
    if upper is not None:
        options.set_iterate_upper_bound(upper)
    rows = db.iter(options)
    rows.seek(lower)
    while rows.valid():
        yield rows.key(), rows.value()
        rows.next()
    try:
        rows.status()
    except Exception as error:  # rocksdict raises bare Exceptions
        if (full := exhausted(error)) is not None:
            raise full from error
        raise CorruptData(f"store: a block cannot be read ({error})") from None
