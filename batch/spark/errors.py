"""What Spark raises about a table's file, as an error of ours with the file's name.

A task that meets a rotten page fails, and the driver raises hundreds of lines of Java around it.
The job is over either way; a person needs the file and what to do. Parquet's Java does not say
which file it was, so then the tables' files are read once more, from Python, until one fails.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from batch.lake import snapshots, tables
from batch.lake.data_file_rows import rows_of
from batch.lake.data_files import live_files
from impressions.core.errors import CorruptData
from impressions.settings.model import Settings

_ROTTEN = (
    "ChecksumException", "CRC checksum verification failed", "could not verify page integrity",
    "could not verify dictionary page integrity", "is not a Parquet file",
    "ParquetDecodingException", "Corrupted block", "Decompression error", "FAILED_READ_FILE",
    "Failed to read footer", "Could not read footer", "Invalid Parquet",
)  # fmt: skip
_FILE = re.compile(r"(?:file:|s3[an]?:|gs:|hdfs:|abfss?:)[^\s'\",\]]+\.parquet")


@contextlib.contextmanager
def rotten_files_named(settings: Settings) -> Iterator[None]:
    """Raises CorruptData for what the block raises because a data file is not as it was written."""
    try:
        yield
    except Exception as error:  # Java's, in many classes: only its text says what it is
        text = str(error)
        if isinstance(error, CorruptData) or not any(sign in text for sign in _ROTTEN):
            raise
        named = _FILE.search(text)
        name = named[0] if named else _first_rotten(settings) or "a data file of the table"
        what = next(sign for sign in _ROTTEN if sign in text)
        raise CorruptData(
            f"{name}: not readable as it was written: {what}",
            hint="restore this file from a backup or another replica under the same name, or take "
            "its rows out and land them again; `impressions compact` computes ema again",
            reason="rotten_file",
        ) from error


def _first_rotten(settings: Settings) -> str | None:
    """The first file of raw or ema that cannot be read."""
    for name in (tables.RAW, tables.EMA):
        table = tables.find(settings, name)
        if table is None:
            continue
        columns = list(tables.columns_of(name, settings.spec))
        for file in live_files(table, snapshots.main_id(table)):
            try:
                for _ in rows_of(file, table.io, table.schema(), columns):
                    pass
            except CorruptData:
                return file.path
    return None
