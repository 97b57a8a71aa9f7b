"""RocksDB as this project uses it: one set of options, one way to open, one way to scan.

Raw mode everywhere (keys and values are plain bytes). A generation is immutable: written as SST
files, ingested once, opened read-only with mmap reads and no compression, so that processes share
the page cache and a warm get copies nothing twice.

`scan` is the only scan in the code base. RocksDB's own iterators end *silently* at a damaged block;
only the iterator's status tells. (A test bans the others.)
"""

from __future__ import annotations

from collections.abc import Iterator
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


def ingest(store: Path, files: list[Path]) -> None:
    """Create a store of these SST files, which are moved into it, in one atomic call."""
    options = IngestExternalFileOptions()
    options.set_move_files(True)
    db = Rdict(str(store), generation_options())
    try:
        if files:
            db.ingest_external_file([str(file) for file in files], options)
    finally:
        db.close()


def open_read_only(store: Path) -> Rdict:
    """A generation's store for reading; any number of processes may hold it."""
    return Rdict(
        str(store),
        generation_options(),
        access_type=AccessType.read_only(error_if_log_file_exist=False),
    )


def scan(db: Rdict) -> Iterator[tuple[bytes, bytes]]:
    """Every (key, value), ascending by key, block checksums verified.

    Raises:
        CorruptData: a block is damaged. Rows before it have been yielded.
    """
    options = ReadOptions()
    options.fill_cache = False
    rows = db.iter(options)
    rows.seek_to_first()
    while rows.valid():
        yield rows.key(), rows.value()
        rows.next()
    try:
        rows.status()
    except Exception as error:
        raise CorruptData(f"store: a block cannot be read ({error})") from None
