"""The bytes of a text file as UTF-8: decompressed, decoded, with what is no text marked.

gzip and bzip2 are known by their first bytes, not by the name. Bytes that are not in the
encoding become characters of a private plane (U+10FF00 + byte), so that nothing downstream stumbles
over them, no two texts become one, and the rows that hold them can be found: `garbled` says whether
there were any, GARBLED finds them. (Such characters of the file's own are taken for marks too, in a
file that is garbled anyway.)
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from batch.files.identify import SourceFile, opened
from impressions.core.errors import CorruptData, ImpressionsError, UsageError

GARBLED = "[\U0010ff00-\U0010ffff]"
"""A character class for regular expressions."""

_FIRST = 0x10FF00
_MARK = "impressions.mark"
_MAGIC: dict[bytes, Callable[[IO[bytes]], Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
_NO_TEXT = {
    b"PK\x03\x04": ("an Excel or zip file", "save the sheet as CSV UTF-8"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "decompress it: zstd -d"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file", "save the sheet as CSV UTF-8"),
}
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class TextStream(io.RawIOBase):
    """A readable stream of UTF-8 bytes, `tail` appended.

    `garbled`: whether bytes that are no text were met so far.
    """

    def __init__(self, raw: IO[bytes], encoding: str | None, tail: str = ""):
        super().__init__()
        name = encoding or "utf-8-sig"
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder(name)("strict")
        self._ascii = encoding is None
        self._tail: str | None = tail
        self._left = memoryview(b"")
        self._started = False
        self.garbled = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        while not self._left and self._tail is not None:
            self._left = memoryview(self._next(len(view)))
        n = min(len(view), len(self._left))
        view[:n] = self._left[:n]
        self._left = self._left[n:]
        return n

    def _next(self, size: int) -> bytes:
        raw = self._raw.read(max(size, 1 << 16))
        if raw and self._ascii and self._started and raw.isascii() and not self._pending:
            return raw
        text = self._decoded(raw)
        if not self._started:
            text, self._started = text.removeprefix("\ufeff"), True
        if not raw:
            text, self._tail = text + (self._tail or ""), None
        return text.encode("utf-8")

    def _decoded(self, raw: bytes) -> str:
        state = self._decoder.getstate()
        try:
            return self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError:
            self.garbled = True
            self._decoder.setstate(state)
            self._decoder.errors = _MARK
            text = self._decoder.decode(raw, final=not raw)
            self._decoder.errors = "strict"
            return text

    @property
    def _pending(self) -> bool:
        return bool(self._decoder.getstate()[0])


@contextmanager
def open_text(file: SourceFile, encoding: str | None, tail: str = "") -> Iterator[TextStream]:
    """The text of a file.

    Raises:
        UsageError: the file is of another kind, or states another encoding than is mapped.
        CorruptData: a compressed file that is cut or damaged.
    """
    with opened(file.path) as data, _translated(file):
        start = data.read(4)
        data.seek(0)
        _refuse(file, start, encoding)
        opener = next((open_ for magic, open_ in _MAGIC.items() if start.startswith(magic)), None)
        packed: Any = opener(data) if opener else data
        yield TextStream(packed, encoding, tail)


@contextmanager
def _translated(file: SourceFile) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(file, error) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(file, error) from None  # what bz2 raises


def _damaged(file: SourceFile, error: Exception) -> ImpressionsError:
    return CorruptData(
        f"{file.name}: its compressed data is cut or damaged ({file.size_bytes:,} bytes): {error}",
        hint="was it copied completely?",
    )


def _refuse(file: SourceFile, start: bytes, encoding: str | None) -> None:
    if not start:
        raise UsageError(
            f"{file.name}: an empty file, expected a line that names the columns",
            hint="leave it out, or write it again", reason="empty_file",
        )  # fmt: skip
    for magic, (what, hint) in _NO_TEXT.items():
        if start.startswith(magic):
            raise UsageError(f"{file.name}: {what}, expected text", hint=hint,
                             reason="unknown_format")  # fmt: skip
    wide = _WIDE.get(start[:2])
    if wide and encoding is None:
        raise UsageError(
            f"{file.name}: begins like {wide}, expected utf-8", hint=f"--encoding {wide}",
            reason="encoding",
        )  # fmt: skip


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(_FIRST + byte) for byte in bad), error.end


codecs.register_error(_MARK, _mark)


def replaced(text: str) -> str:
    """A text of a garbled file with marks as U+FFFD, for people."""
    if text.isascii():
        return text
    return "".join("\ufffd" if ord(c) >= _FIRST else c for c in text)


def is_marked(text: str) -> bool:
    """Whether a text of a garbled file holds bytes that are none."""
    return not text.isascii() and max(text) >= chr(_FIRST)
