"""How every database of this project is opened: our options, also for the data it has already."""

from __future__ import annotations

from pathlib import Path

from rocksdict import AccessType, BlockBasedOptions, Options, Rdict

_BLOOM_BITS_PER_KEY = 10


def block_options() -> BlockBasedOptions:
    """Options of blocks, with the bloom filter that all our files have."""
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(_BLOOM_BITS_PER_KEY, block_based=False)
    return blocks


def opened(path: Path, options: Options, access: AccessType) -> Rdict:
    """The database. The column family is named, because RocksDB opens a family that is not named
    with the options of its first opening, which it keeps in a file, without our block cache."""
    return Rdict(str(path), options, {"default": options}, access)
