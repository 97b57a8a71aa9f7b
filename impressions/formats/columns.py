"""The columnar table that profile blocks are made of, and its bytes; delta blocks before version 3.

`Rows` (impressions/core/rows.py) is the table in use;
`encode_table` / `StoredTable` are the table in bytes:

    table     := item:code last_seen:code total:code{M}          one code byte per column
                 item last_seen total{M} sums                     the columns, in that order
    item      := uint{n}      item keys, ascending
    last_seen := uint{n}      newest_ms - last_seen_ms; newest_ms stands in the block's header
    total     := uint{n} | f32{n} | f64{n}     undecayed totals, integral measures as uint
    sums      := {float{H * n_m}}{M}           decayed sums, by measure, then by half-life, of the
                                               n_m rows whose total of that measure is not 0
    code      := 1 | 2 | 4 | 5 | 8             bytes of each uint, the fewest that hold the largest
               | 0x84 | 0x88                   f32, f64

All little-endian, no padding. A 5-byte uint is a u32 column followed by a u8 column of high bytes:
ages of up to a year in milliseconds and most item keys need 35 to 40 bits, and a profile has
thousands of them. Where a total is 0 so is each of its sums, and most titles that were seen were
never played: those sums are left out. The number of rows and the float type of the sums stand in
the block's header. Decoding reads views and converts only the rows that are asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impressions.core.decay import Int
from impressions.core.errors import CorruptData
from impressions.core.rows import Index, Rows, pick
from impressions.core.spec import Spec

F32, F64 = 0x84, 0x88
YEAR_10000_MS = 253_402_300_800_000
_UINTS = frozenset((1, 2, 4, 5, 8))
DTYPES = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8", F32: "<f4", F64: "<f8"}
_WIDTHS = {1: 1, 2: 2, 4: 4, 5: 5, 8: 8, F32: 4, F64: 8}


def fewest_bytes(widths: tuple[int, ...]) -> tuple[int, ...]:
    """Of a number of 0 to 63 bits the first of these widths that holds it."""
    return tuple(next(w for w in widths if bits <= 8 * w) for bits in range(64))


_FEWEST_BYTES = fewest_bytes((1, 2, 4, 5, 8))


def encode_table(rows: Rows, newest_ms: int, spec: Spec, float_code: int) -> bytes:
    """The bytes of `rows`; sums and fractional totals in `float_code` (F32 or F64)."""
    dtype = DTYPES[float_code]
    columns = [encode_uints(rows.items), encode_uints(newest_ms - rows.last_seen_ms)]
    sums = []
    for measure, total, of_measure in zip(spec.measures, rows.totals, rows.sums, strict=True):
        stored = total.astype(np.int64 if measure.integral else dtype)
        columns.append(encode_uints(stored) if measure.integral else (float_code, stored.tobytes()))
        counted = np.flatnonzero(stored)
        kept = of_measure if len(counted) == len(stored) else pick(of_measure, counted)
        sums.append(kept.astype(dtype, copy=False).tobytes())
    codes = bytes(code for code, _ in columns)
    return b"".join((codes, *(data for _, data in columns), *sums))


class StoredTable:
    """Views over the bytes of one table; rows become `Rows` when they are taken."""

    def __init__(self, data: bytes, offset: int, n: int, newest_ms: int, spec: Spec, code: int):
        """Check the shape of the table at `offset`; `end` is where it stops.

        Raises:
            CorruptData: a code that is not the column's, or fewer bytes than the columns need.
        """
        measures, half_lives = len(spec.measures), len(spec.half_lives_days)
        codes = data[offset : offset + 2 + measures]
        if len(codes) < 2 + measures or not _fit(codes, spec, code):
            raise CorruptData(f"block: column codes {codes.hex()!r} at byte {offset} are not ours")
        start = offset + len(codes)
        sizes = [_WIDTHS[c] * n for c in codes]
        self.end = start + sum(sizes)
        _check_end(data, n, self.end)
        self._n, self._newest_ms, self._data, self._codes = n, newest_ms, data, codes
        self._starts = [start + sum(sizes[:i]) for i in range(len(sizes))]
        self._sums: list[NDArray[np.generic]] = []
        for m in range(measures):
            begin, shape = self.end, (half_lives, int(np.count_nonzero(self._column(2 + m))))
            self.end += _WIDTHS[code] * shape[0] * shape[1]
            _check_end(data, n, self.end)
            of_measure = np.frombuffer(data, DTYPES[code], shape[0] * shape[1], begin)
            self._sums.append(of_measure.reshape(shape))

    def __len__(self) -> int:
        return self._n

    def _column(self, i: int) -> NDArray[np.generic]:
        return decode_column(self._data, self._codes[i], self._starts[i], self._n)

    def items(self) -> Int:
        """(n,) int64."""
        return self._column(0).astype(np.int64, copy=False)

    def take(self, index: Index) -> Rows:
        """The chosen rows, in float64."""
        items = self.items()[index]
        totals = np.empty((len(self._sums), len(items)))
        sums = np.zeros((len(self._sums), self._sums[0].shape[0], len(items)))
        for m, of_measure in enumerate(self._sums):
            total = self._column(2 + m)
            totals[m] = total[index]
            if of_measure.shape[1] == self._n:
                sums[m] = pick(of_measure, index)
            else:
                counted = totals[m] != 0
                place = np.cumsum(total != 0)[index][counted] - 1
                sums[m][:, counted] = pick(of_measure, place)
        return Rows(
            items,
            self._newest_ms - self._column(1)[index].astype(np.int64, copy=False),
            totals,
            sums,
        )


def _check_end(data: bytes, n: int, end: int) -> None:
    if end > len(data):
        raise CorruptData(f"block: {len(data)} bytes, but {n} rows need {end}; it was cut short")


def are_times(one_ms: int, other_ms: int) -> bool:
    """Whether epoch milliseconds lie in the years that a calendar has."""
    return 0 <= one_ms < YEAR_10000_MS and 0 <= other_ms < YEAR_10000_MS


def ascend(values: Int) -> bool:
    """Whether ids are what they are in every block: not negative, each larger than the last."""
    return not len(values) or bool(values[0] >= 0 and (values[1:] > values[:-1]).all())


def _fit(codes: bytes, spec: Spec, float_code: int) -> bool:
    """Whether each column has a code of its type: ids, times and whole numbers are integers."""
    if codes[0] not in _UINTS or codes[1] not in _UINTS:
        return False
    for code, measure in zip(codes[2:], spec.measures, strict=True):
        if code not in _UINTS if measure.integral else code != float_code:
            return False
    return True


def encode_uints(values: Int, fewest: tuple[int, ...] = _FEWEST_BYTES) -> tuple[int, bytes]:
    """The fewest bytes each that hold all values, and the bytes.

    Args:
        values: (n,) int64, not negative.
        fewest: of `fewest_bytes`: which widths there are.

    Raises:
        CorruptData: a value is negative.
    """
    # Seen as unsigned a negative one is larger than any other.
    largest = int(np.maximum.reduce(values.view(np.uint64), initial=0))
    if largest >> 63:
        raise CorruptData(f"block: a column of unsigned integers holds {int(values.min())}")
    width = fewest[largest.bit_length()]
    if width in (3, 5):
        low, bits = (DTYPES[width - 1], 8 * (width - 1))
        return width, values.astype(low).tobytes() + (values >> bits).astype("<u1").tobytes()
    return width, values.astype(DTYPES[width]).tobytes()


def decode_column(data: bytes, code: int, start: int, n: int) -> NDArray[np.generic]:
    """(n,) values of a column that begins at `start` and lies within the data."""
    if code in (3, 5):
        low = np.frombuffer(data, DTYPES[code - 1], n, start).astype(np.int64)
        high = np.frombuffer(data, "<u1", n, start + (code - 1) * n).astype(np.int64)
        return low | (high << 8 * (code - 1))
    return np.frombuffer(data, DTYPES[code], n, start)
