"""The store of one generation: written as SST files, ingested once, then opened read-only.

A store is a directory with one database per shard. Files of one shard do not overlap, so each lies
on the last level and a get reads one block. Files of different shards do overlap; in one database a
get would try them all (docs/decisions/0002).

Keys and values are plain bytes. Blocks are not compressed and are read by mmap, so all processes of
a host share the page cache, and a get of a cached block copies the value only once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path

from rocksdict import (
    AccessType,
    DBCompressionType,
    IngestExternalFileOptions,
    Options,
    Rdict,
    SstFileWriter,
)

from impressions.core.errors import CorruptData
from impressions.formats.generation_paths import shard_dir
from impressions.process.descriptors import exhausted
from impressions.rocksdb.opening import block_options, opened
from impressions.rocksdb.scan import scan


def generation_options(*, verify_index: bool = False) -> Options:
    """Options of a generation: for its SST writers, its ingest and its readers alike.

    Args:
        verify_index: read a file's index at every get, and verify its checksum. RocksDB would keep
            the index in the block cache, but what it reads by mmap is never kept there.
    """
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.none())
    options.set_allow_mmap_reads(True)
    options.set_max_open_files(-1)
    options.set_disable_auto_compactions(True)
    blocks = block_options()
    blocks.set_cache_index_and_filter_blocks(verify_index)
    options.set_block_based_table_factory(blocks)
    return options


def sst_writer(path: Path) -> SstFileWriter:
    """A writer of one SST file; keys strictly ascending, at least one, then `finish()`."""
    writer = SstFileWriter(options=generation_options())
    writer.open(str(path))
    return writer


def create(path: Path, files: Mapping[int, Sequence[Path]]) -> None:
    """Make a store; the SST files of each shard are moved into it by one atomic call.

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


class GenerationStore:
    """A generation's store, open for reading; any number of processes may have it open.

    RocksDB verifies the index of a file when it opens the file, then reads the index by mmap. If a
    bit of the index flips later, a get can read the wrong block, which is valid and does not
    contain the key. So each shard is opened twice, and a key that the first database does not have
    is read once more from the second, where every read verifies the index
    (docs/decisions/0021). So damage never looks like an absent key.
    """

    def __init__(self, databases: dict[int, Rdict], verifying: dict[int, Rdict]):
        self._databases, self._verifying = databases, verifying

    def get(self, shard: int, key: bytes, *, waits: bool = False) -> bytes | None:
        """The value of a key of this shard; None if it is not there.

        Args:
            waits: the disk may have to be read, and Python's lock is released meanwhile, which
                rocksdict does for several keys but not for one.

        Raises:
            Exception: RocksDB's error for a damaged block or index, or because no descriptor is
                left (impressions/process/descriptors.py, `exhausted`, tells them apart).
        """
        value = _value(self._databases[shard], key, waits)
        return _value(self._verifying[shard], key, waits) if value is None else value

    def rows(self, shard: int) -> int:
        """The number of rows of a shard, as its files record it."""
        return sum(int(file["num_entries"]) for file in self._databases[shard].live_files())

    def scan(
        self, shard: int | None = None, from_key: bytes = b""
    ) -> Generator[tuple[bytes, bytes], None, None]:
        """Every (key, value) of a shard from this key on, ascending, or of all shards, one after
        the other; block checksums are verified. Close the generator if you leave early.

        Raises:
            CorruptData: a block is damaged. Rows before it have been yielded.
        """
        for each in self._databases if shard is None else (shard,):
            yield from scan(self._databases[each], from_key)

    def close(self) -> None:
        for database in (*self._databases.values(), *self._verifying.values()):
            database.close()


def open_read_only(path: Path, shards: Iterable[int]) -> GenerationStore:
    """Open these shards of a store.

    Raises:
        CorruptData: one of them does not exist or cannot be opened.
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
            GenerationStore(plain, verifying).close()
            if (full := exhausted(error)) is not None:
                raise full from error
            raise CorruptData(f"store {directory} cannot be opened ({error})") from error
    return GenerationStore(plain, verifying)


def _value(database: Rdict, key: bytes, waits: bool) -> bytes | None:
    value: bytes | None
    if waits:
        (value,) = database.get([key]) or (None,)
    else:
        value = database.get(key)
    return value


def _open_shard(directory: Path, options: Options) -> Rdict:
    # Checked first, because opening an absent database creates its directory.
    if not (directory / "CURRENT").is_file():
        raise FileNotFoundError("not there")
    access = AccessType.read_only(error_if_log_file_exist=False)
    return opened(directory, options, access)
