"""Files through a mapping to judged rows: read, made canonical, given a reason.

Out of `judged`: one row per row of the files, nothing dropped:

    source file row_number row_json     where it came from, and how it looked there
    the columns of batch/canonical.py
    reason                              int of `impressions.event.Reason`
    null_<target>                       boolean: a default stands in for a null

Columns that are not asked for cost nothing: Spark computes what a later step selects.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from batch.canonical import FIRST_MS, canonical, defaulted, named, time_ms
from batch.mapping import EPOCH_UNITS, TIMES, ImportMapping, Source
from batch.sources import Group
from batch.validity import reason
from impressions.errors import MappingError
from impressions.slot import format_utc
from impressions.spec import Spec

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

CORRUPT = "_corrupt_record"
NULL_PREFIX = "null_"


def judged(
    spark: SparkSession, groups: Sequence[Group], mapping: ImportMapping, spec: Spec
) -> DataFrame:
    """Every row of every file, with its reason."""
    return reduce(
        lambda left, right: left.unionByName(right),
        (_judged_group(spark, group, mapping, spec) for group in groups),
    )


def check_units(spark: SparkSession, group: Group, mapping: ImportMapping) -> None:
    """Refuses a unit that puts the median of a time column outside the years 2000 to 2099.

    Raises:
        MappingError: naming the unit that would fit, if one would.
    """
    from pyspark.sql import functions as F

    for target in TIMES:
        source = mapping.sources.get(target)
        if not isinstance(source, Source):
            continue
        row = (
            read_group(spark, group)
            .select(
                F.count(named(source.column)).alias("values"),
                F.percentile_approx(time_ms(source, group.kinds), 0.5).alias("median_ms"),
            )
            .collect()[0]
        )
        _check_median(target, source, row["values"], row["median_ms"])


def read_group(spark: SparkSession, group: Group) -> DataFrame:
    """The files of one group as they are; a CSV row of another width has `_corrupt_record`."""
    paths = [str(file.path) for file in group.files]
    if group.format == "parquet":
        return spark.read.parquet(*paths)
    columns = [*group.kinds, CORRUPT]
    schema = ", ".join(f"`{name.replace('`', '``')}` STRING" for name in columns)
    options: dict[str, Any] = {
        "header": True, "sep": group.delimiter, "escape": '"', "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": CORRUPT, "enforceSchema": True, "maxCharsPerColumn": -1,
    }  # fmt: skip
    return spark.read.options(**options).schema(schema).csv(paths)


def _judged_group(
    spark: SparkSession, group: Group, mapping: ImportMapping, spec: Spec
) -> DataFrame:
    from pyspark.sql import functions as F

    rows = read_group(spark, group)
    columns = canonical(mapping, group.kinds)
    row_number = F.lit(None).cast("bigint")
    metadata = rows.metadataColumn("_metadata")
    if group.format == "parquet":
        row_number = metadata.getField("row_index")
    else:
        columns["undecodable"] = columns["undecodable"] | F.col(CORRUPT).isNotNull()
    selected = rows.select(
        _plain_path(metadata.getField("file_path")).alias("path"),
        row_number.alias("row_number"),
        F.to_json(F.struct(*map(named, rows.columns)), {"ignoreNullFields": "false"}).alias(
            "row_json"
        ),
        *(column.alias(name) for name, column in columns.items()),
        *(column.alias(NULL_PREFIX + name) for name, column in defaulted(mapping).items()),
    )
    named_files = selected.join(F.broadcast(_file_names(spark, group)), "path", "left")
    return named_files.drop("path").withColumn("reason", reason(spec, "log_id" in mapping))


def _file_names(spark: SparkSession, group: Group) -> DataFrame:
    """(path as Spark's metadata spells it, source, file)."""
    from pyspark.sql import functions as F

    jvm: Any = spark.sparkContext._jvm
    spelled = [
        (jvm.org.apache.hadoop.fs.Path(f"file:{file.path}").toUri().toString(), file)
        for file in group.files
    ]
    rows = [(path, file.source, str(file.path)) for path, file in spelled]
    names = spark.createDataFrame(rows, "path string, source string, file string")
    return names.withColumn("path", _plain_path(F.col("path")))


def _plain_path(uri: Column) -> Column:
    """`file:/a` and `file:///a` are the same file."""
    from pyspark.sql import functions as F

    return F.regexp_replace(uri, "^file:/+", "/")


def _check_median(target: str, source: Source, values: int, median_ms: int | None) -> None:
    if not values:
        return
    if median_ms is None:
        raise MappingError(
            f"column {source.column!r} for {target}: none of its {values} values can be read "
            f"as {source.unit or 'a timestamp'}"
        )
    if _plausible(median_ms):
        return
    hint = None
    if source.unit in EPOCH_UNITS:
        per_ms = {unit: 1000.0 ** (i - 1) for i, unit in enumerate(EPOCH_UNITS)}
        number = median_ms * per_ms[source.unit]
        likely = [unit for unit, scale in per_ms.items() if _plausible(number / scale)]
        if likely:
            hint = f"the numbers look like {likely[0]}: --map {target}={source.column}:{likely[0]}"
    raise MappingError(
        f"column {source.column!r} for {target} in {source.unit or 'its own type'}: the median "
        f"would be {_year(median_ms)}, expected a time from 2000 to 2099",
        hint=hint,
        reason="implausible_time",
    )


def _plausible(time_ms: float) -> bool:
    from batch.canonical import END_MS

    return FIRST_MS <= time_ms < END_MS


def _year(time_ms: int) -> str:
    """An instant for people, or about which year where a calendar does not reach."""
    if abs(time_ms) < 200 * FIRST_MS // 30:
        return format_utc(time_ms)
    return f"about the year {1970 + time_ms / 31_556_952_000:,.0f}"
