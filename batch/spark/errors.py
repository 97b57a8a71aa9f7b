"""What Spark raises about a table's file, as an error of ours with the file's name.

A task that meets a rotten page fails, and the driver raises hundreds of lines of Java around it,
which seldom say which file it was. A person needs the file and what to do: so the tables' files are
read once more, from Python, until one fails.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from batch.lake import snapshots, tables
from batch.lake.data_file_rows import rows_of
from batch.lake.data_files import live_files
from impressions.core.errors import ImpressionsError
from impressions.settings.model import Settings

_ROTTEN = re.compile(
    "checksum|could not verify|could not read|failed to read|not a Parquet|invalid Parquet|"
    "ParquetDecoding|corrupted|decompression|FAILED_READ_FILE",
    re.IGNORECASE,
)


@contextlib.contextmanager
def rotten_files_named(settings: Settings) -> Iterator[None]:
    """Raises CorruptData for what the block raises because a data file is not as it was written."""
    try:
        yield
    except ImpressionsError:
        raise
    except Exception as error:  # Java's, in many classes: only its text says what it is
        if _ROTTEN.search(str(error)):
            _read_all(settings)
        raise


def _read_all(settings: Settings) -> None:
    """Every file of raw and of ema. Raises CorruptData at the first that cannot be read."""
    for name in (tables.RAW, tables.EMA):
        table = tables.find(settings, name)
        if table is None:
            continue
        columns = list(tables.columns_of(name, settings.spec))
        for file in live_files(table, snapshots.main_id(table)):
            for _ in rows_of(file, table.io, table.schema(), columns):
                pass
