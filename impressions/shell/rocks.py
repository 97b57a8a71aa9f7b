"""RocksDB as this project uses it: one set of options, one way to open, one way to scan.

Raw mode everywhere (keys and values are plain bytes). A generation is immutable: written as SST
files, ingested once, opened read-only with mmap reads and no compression, so that processes share
the page cache and a warm get copies nothing twice.

A store is a directory with one database per shard. Files of one shard do not overlap, so each lies
on the last level and a get reads one block; those of different shards do, and in one database a get
would try them all (docs/decisions/0002).

`Store.scan` is the only scan in the code base. RocksDB's own iterators end *silently* at a damaged
block; only the iterator's status tells. (A test bans the others.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    DBCompressionType,
    IngestExternalFileOptions,
    Options,
    Rdict,
    ReadOptions,
    SstFileWriter,
)

from impressions.errors import CorruptData
from impressions.generation import shard_dir

BLOOM_BITS_PER_KEY = 10


def generation_options() -> Options:
    """Options of a generation: for its SST writers, its ingest and its readers alike."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.none())
    options.set_allow_mmap_reads(True)
    options.set_max_open_files(-1)
    options.set_disable_auto_compactions(True)
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, block_based=False)
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
    """A generation's store, open for reading; any number of processes may hold it."""

    def __init__(self, databases: dict[int, Rdict]):
        self._databases = databases

    def get(self, shard: int, key: bytes) -> bytes | None:
        """The value of a key of this shard. Raises whatever RocksDB says of a damaged block."""
        value: bytes | None = self._databases[shard].get(key)
        return value

    def scan(self) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value), shard after shard, ascending within each; checksums verified.

        Raises:
            CorruptData: a block is damaged. Rows before it have been yielded.
        """
        for database in self._databases.values():
            yield from _scan(database)

    def close(self) -> None:
        for database in self._databases.values():
            database.close()


def open_read_only(path: Path, shards: Iterable[int]) -> Store:
    """Open these shards of a store.

    Raises:
        CorruptData: one of them is not there or cannot be opened.
    """
    databases: dict[int, Rdict] = {}
    access = AccessType.read_only(error_if_log_file_exist=False)
    for shard in shards:
        directory = path / shard_dir(shard)
        try:
            # Looked for first, because opening a database that is absent creates its directory.
            if not (directory / "CURRENT").is_file():
                raise FileNotFoundError("not there")
            databases[shard] = Rdict(str(directory), generation_options(), access_type=access)
        except Exception as error:  # rocksdict raises bare Exceptions
            Store(databases).close()
            raise CorruptData(f"store {directory} cannot be opened ({error})") from error
    return Store(databases)


def _scan(db: Rdict) -> Iterator[tuple[bytes, bytes]]:
    options = ReadOptions()
    options.fill_cache(False)  # type: ignore[call-arg]  # the stub calls it a property
    rows = db.iter(options)
    rows.seek_to_first()
    while rows.valid():
        yield rows.key(), rows.value()
        rows.next()
    try:
        rows.status()
    except Exception as error:
        raise CorruptData(f"store: a block cannot be read ({error})") from None
