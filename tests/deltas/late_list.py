"""A reader that lists the files of a store just before a log becomes a file, and reads the logs
just after.

    late = LateList(path)              the store as the reader has seen it
    ...                                the writer goes on
    late.log_becomes_file(writer)      what was written so far; later writes go to a new log
    late.given_to(reader)              its next catch-up meets this

RocksDB itself does the rest: the list is cut short to what it was, and whole again once the first
catch-up has read it.
"""

import os

from tests.live import until


class LateList:
    """Stands in the place of a reader's database.

    Attributes:
        after_first: called when the first catch-up is over and the list is whole again.
    """

    def __init__(self, path):
        self._path, self._list = path, path / (path / "CURRENT").read_text().strip()
        self._listed_bytes = self._list.stat().st_size
        self._whole = None
        self.after_first = lambda: None

    def log_becomes_file(self, writer):
        logs = set(self._path.glob("*.log"))
        writer.fill()
        writer.filled()
        until(lambda: not logs & set(self._path.glob("*.log")), "the log is deleted")

    def given_to(self, reader):
        self._whole = self._list.read_bytes()
        assert len(self._whole) > self._listed_bytes
        os.truncate(self._list, self._listed_bytes)
        self._db, reader._table._db = reader._table._db, self

    def try_catch_up_with_primary(self):
        self._db.try_catch_up_with_primary()
        if self._whole is not None:
            self._list.write_bytes(self._whole)
            self._whole = None
            self.after_first()

    def __getattr__(self, name):
        return getattr(self._db, name)
