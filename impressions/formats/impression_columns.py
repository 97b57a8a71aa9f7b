"""Impressions in bytes: the columns that delta blocks hold from version 3 on.

    impressions := item:code event:code added:code{A}        one code byte per column
                   item event added{A}                       the columns, in that order
    item        := uint{n}      item keys, ascending; an item as often as it was seen, in the order
                                in which its impressions were applied
    event       := uint{n}      newest_ms - event_ms; newest_ms stands in the block's header
    added       := uint{n} | thousandths{n} | f64{n}         `spec.added_columns`: played, dwell_s
    thousandths := uint{n}      the value times 1,000; read as that number / 1,000
    code        := 1 | 2 | 3 | 4 | 5 | 8                     bytes of each uint
                 | 0x41 | 0x42 | 0x43 | 0x44 | 0x45          thousandths of 1 to 5 bytes
                 | 0x88                                      f64

All little-endian, no padding. A 3-byte uint is a u16 column followed by a u8 column of high bytes,
a 5-byte one a u32 column followed by such a column. A column of whole numbers is a uint; another is
thousandths if that gives back every value of it exactly, as it does for seconds that a device
counted in milliseconds, else f64. Written are the fewest bytes that hold the largest value; read is
any code of the column's kind.

No sums: an impression at t weighs 2^-((slot start - t) / half-life), so a reader computes them from
time and value, with the arithmetic that the stream would use. 10 to 15 bytes an impression.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from impressions.core.decay import Float
from impressions.core.errors import CorruptData
from impressions.core.impressions import Impressions
from impressions.core.spec import Spec
from impressions.formats.columns import DTYPES, F64, decode_column, encode_uints, fewest_bytes

UINTS = (1, 2, 3, 4, 5, 8)
THOUSANDTHS = 0x40
"""Added to the code of a uint."""
MOST_THOUSANDTHS = 1 << 40
_FEWEST = fewest_bytes(UINTS)
_OF_WHOLE = frozenset(UINTS)
_OF_OTHER = frozenset((*(THOUSANDTHS + width for width in (1, 2, 3, 4, 5)), F64))


@cache
def is_whole(spec: Spec) -> tuple[bool, ...]:
    """Of each added column whether its values are whole numbers: all measures it adds to are."""
    return tuple(
        all(m.integral for m in spec.measures if m.adds.column == name)
        for name in spec.added_columns
    )


def encode(impressions: Impressions, newest_ms: int, spec: Spec) -> bytes:
    """The bytes of impressions, items ascending."""
    columns = [
        encode_uints(impressions.items, _FEWEST),
        encode_uints(newest_ms - impressions.event_ms, _FEWEST),
    ]
    for whole, values in zip(is_whole(spec), impressions.added, strict=True):
        columns.append(
            encode_uints(values.astype(np.int64), _FEWEST) if whole else _encode_other(values)
        )
    return b"".join((bytes(code for code, _ in columns), *(data for _, data in columns)))


def decode(data: bytes, start: int, n: int, newest_ms: int, spec: Spec) -> Impressions:
    """The n impressions that begin at `start` and end where the data ends.

    Raises:
        CorruptData: a code that is not the column's, items that do not ascend, or another length.
    """
    count = 2 + len(spec.added_columns)
    codes = data[start : start + count]
    if len(codes) < count or not _fit(codes, spec):
        raise CorruptData(f"block: column codes {codes.hex()!r} at byte {start} are not ours")
    ends = np.cumsum([start + count, *(width_of(code) * n for code in codes)]).tolist()
    if ends[-1] != len(data):
        raise CorruptData(f"delta block: {len(data)} bytes, but {n} impressions end at {ends[-1]}")
    items = decode_column(data, codes[0], ends[0], n).astype(np.int64, copy=False)
    if n and (items[0] < 0 or (items[1:] < items[:-1]).any()):
        raise CorruptData("delta block: items are not in order")
    ages = decode_column(data, codes[1], ends[1], n).astype(np.int64, copy=False)
    if ages.min(initial=0) < 0:
        raise CorruptData(f"delta block: an event lies {ages.min()} ms before the newest")
    added = np.empty((count - 2, n))
    for i, code in enumerate(codes[2:]):
        is_thousandths = code != F64 and code >= THOUSANDTHS
        added[i] = decode_column(data, code - THOUSANDTHS * is_thousandths, ends[2 + i], n)
        if is_thousandths:
            added[i] /= 1_000
    return Impressions(items, newest_ms - ages, added)


def width_of(code: int) -> int:
    """Bytes of each value of a column."""
    return 8 if code == F64 else code & ~THOUSANDTHS


def _fit(codes: bytes, spec: Spec) -> bool:
    """Whether each column has a code of its kind."""
    kinds = (True, True, *is_whole(spec))
    return all(
        code in (_OF_WHOLE if whole else _OF_OTHER)
        for code, whole in zip(codes, kinds, strict=True)
    )


def _encode_other(values: Float) -> tuple[int, bytes]:
    thousandths = np.rint(values * 1_000)
    fits = (thousandths >= 0) & (thousandths < MOST_THOUSANDTHS)
    if (fits & (thousandths / 1_000 == values)).all():
        width, data = encode_uints(thousandths.astype(np.int64), _FEWEST)
        return THOUSANDTHS + width, data
    return F64, values.astype(DTYPES[F64], copy=False).tobytes()
