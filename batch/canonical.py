"""A file's columns as canonical columns: numbers read strictly, times in whole milliseconds.

In: a mapping and the kinds of the file's columns. Out: one Spark expression per canonical column

    profile_id title_id location row position dwell_s log_id   played undecodable
    event_ms ingest_ms (bigint)                                device_type app_version

A value that is there but cannot be read is never null: null means absent, and optional columns
have defaults. It becomes what the rule of validity (batch/validity.py) rejects:

    ids, location        -1           bad_profile, bad_title, bad_location
    dwell_s              NaN          bad_dwell
    times, log_id        null         missing_event_time, missing_ingest_time, missing_log_id
    row, position, played             undecodable

Times are floored to the millisecond. An ingest time outside the years 2000 to 2099 counts as
unreadable: one of them would otherwise say that raw is complete until the year it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from batch.ids import content_hash, hash_id
from batch.mapping import (
    DEFAULTS,
    SMALL_INTS,
    TEXTS,
    HashOf,
    ImportMapping,
    Kind,
    Source,
)
from impressions.ids import LOG_BITS, PROFILE_BITS, TITLE_BITS

if TYPE_CHECKING:
    from pyspark.sql import Column

FIRST_MS, END_MS = 946_684_800_000, 4_102_444_800_000  # 2000-01-01 and 2100-01-01
UNREADABLE_ID = -1
_HASH_BITS = {"profile_id": PROFILE_BITS, "title_id": TITLE_BITS, "log_id": LOG_BITS}
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MAX_INT = 2**31 - 1
_SAFE_MS = 1 << 60  # differences of two such times do not overflow


def canonical(mapping: ImportMapping, kinds: Mapping[str, Kind]) -> dict[str, Column]:
    """Canonical name -> expression over the file's columns."""
    from pyspark.sql import functions as F

    columns: dict[str, Column] = {}
    undecodable = F.lit(False)
    for target in ("profile_id", "title_id", "log_id"):
        columns[target] = _id(mapping.sources.get(target), target, kinds)
    for target in SMALL_INTS:
        value, present = _whole(mapping.sources.get(target), kinds)
        if target == "location":
            value = F.when(present, F.coalesce(value, F.lit(UNREADABLE_ID))).otherwise(F.lit(0))
        else:
            undecodable = undecodable | (present & ~F.coalesce(_is_int(value), F.lit(False)))
        columns[target] = value
    played, unreadable = _played(mapping.sources.get("played"), kinds)
    columns["played"] = F.coalesce(played, F.lit(False))
    columns["dwell_s"] = _dwell_s(mapping.sources.get("dwell_s"), kinds)
    for target in TEXTS:
        source = mapping.sources.get(target)
        columns[target] = _column(source).cast("string") if source else F.lit(None).cast("string")
    columns["event_ms"] = event_ms = time_ms(mapping.sources["event_time"], kinds)
    ingest_ms = event_ms
    if not mapping.ingest_is_event:
        ingest_ms = time_ms(mapping.sources["ingest_time"], kinds)
    columns["ingest_ms"] = F.when(ingest_ms.between(FIRST_MS, END_MS - 1), ingest_ms)
    columns["undecodable"] = undecodable | unreadable
    return columns


def defaulted(mapping: ImportMapping) -> dict[str, Column]:
    """Optional target -> whether this row had a null there, so that the default stands in."""
    return {
        target: _column(source).isNull()
        for target, source in mapping.sources.items()
        if target in DEFAULTS and target != "log_id" and isinstance(source, Source)
    }


def named(column: str) -> Column:
    """A column by its exact name, whatever signs are in it."""
    from pyspark.sql import functions as F

    return F.col("`" + column.replace("`", "``") + "`")


def _column(source: Source | HashOf | None) -> Column:
    assert isinstance(source, Source)
    return named(source.column)


def _id(source: Source | HashOf | None, target: str, kinds: Mapping[str, Kind]) -> Column:
    from pyspark.sql import functions as F

    if source is None:
        return F.lit(None).cast("bigint")
    if isinstance(source, HashOf):
        return content_hash([named(column) for column in source.columns])
    if source.unit == "hash":
        return hash_id(_column(source), _HASH_BITS[target])
    value, present = _whole(source, kinds)
    if target == "log_id":
        return value
    return F.when(present, F.coalesce(value, F.lit(UNREADABLE_ID)))


def _whole(source: Source | HashOf | None, kinds: Mapping[str, Kind]) -> tuple[Column, Column]:
    """(bigint, null where it is no whole number; whether there is a value at all)."""
    from pyspark.sql import functions as F

    if source is None:
        return F.lit(None).cast("bigint"), F.lit(False)
    column = _column(source)
    value = column.try_cast("bigint")
    if isinstance(source, Source) and kinds[source.column] in ("floating", "decimal"):
        value = F.when(value == column, value)  # a fraction is no whole number
    return value, column.isNotNull()


def _is_int(value: Column) -> Column:
    return value.between(-_MAX_INT - 1, _MAX_INT)


def _played(source: Source | HashOf | None, kinds: Mapping[str, Kind]) -> tuple[Column, Column]:
    """(boolean or null where absent; whether there is a value that is neither)."""
    from pyspark.sql import functions as F

    if not isinstance(source, Source):
        return F.lit(None).cast("boolean"), F.lit(False)
    column = _column(source)
    if kinds[source.column] == "boolean":
        return column, F.lit(False)
    if kinds[source.column] in ("text", "csv_text"):
        text = F.lower(F.trim(column))
        true, false = text.isin("true", "1"), text.isin("false", "0")
    else:
        true, false = column == 1, column == 0
    played = F.when(true, F.lit(True)).when(false, F.lit(False))
    return played, column.isNotNull() & played.isNull()


def _dwell_s(source: Source | HashOf | None, kinds: Mapping[str, Kind]) -> Column:
    from pyspark.sql import functions as F

    if not isinstance(source, Source):
        return F.lit(0.0)
    column = _column(source)
    seconds = column.try_cast("double") / F.lit(float(_PER_SECOND[source.unit or "s"]))
    return F.when(column.isNotNull(), F.coalesce(seconds, F.lit(float("nan")))).otherwise(
        F.lit(0.0)
    )


def time_ms(source: Source | HashOf, kinds: Mapping[str, Kind]) -> Column:
    """bigint milliseconds since 1970, floored; null where absent or unreadable."""
    from pyspark.sql import functions as F

    assert isinstance(source, Source)
    column, kind = _column(source), kinds[source.column]
    if kind == "timestamp":
        return F.unix_millis(column.cast("timestamp"))
    if kind == "timestamp_ns":  # read as a bigint, see batch/session.py
        return _floor_divide(column, 1_000_000)
    if source.unit == "iso":
        # Without a date Spark would put in today's, and another one tomorrow.
        dated = F.when(column.rlike(r"^\s*\d{4}-\d{1,2}-\d{1,2}"), column)
        return F.unix_millis(dated.try_cast("timestamp"))
    per_second = _PER_SECOND[source.unit or "ms"]
    if kind == "integer":
        return _integer_ms(column.cast("bigint"), per_second)
    if kind == "floating":
        # A double of seconds holds no more than microseconds: rounding to them first keeps
        # 1650000000.123 from becoming 122 ms.
        micros = F.round(column * F.lit(1e6 / per_second))
        return _saturated(F.floor((micros / F.lit(1e3)).try_cast("decimal(38,6)")))
    exact = column.try_cast("decimal(38,9)")  # decimal columns, and digits in text
    return _saturated(F.floor(F.try_divide(exact * F.lit(1_000), F.lit(per_second))))


def _integer_ms(value: Column, per_second: int) -> Column:
    if per_second == 1:
        return _within(value, _SAFE_MS // 1000) * 1000
    floored = value if per_second == 1_000 else _floor_divide(value, per_second // 1_000)
    return _within(floored, _SAFE_MS)


def _floor_divide(value: Column, by: int) -> Column:
    from pyspark.sql import functions as F

    safe = _within(value, 2**63 - 1 - by)
    return F.call_function("div", safe - F.pmod(safe, F.lit(by)), F.lit(by))


def _saturated(value: Column) -> Column:
    return _within(value, _SAFE_MS).cast("bigint")


def _within(value: Column, limit: int) -> Column:
    """`value` cut to [-limit, limit]; null stays null, which `greatest` alone would swallow."""
    from pyspark.sql import functions as F

    cut = F.least(F.greatest(value, F.lit(-limit)), F.lit(limit))
    return F.when(value.isNotNull(), cut)
