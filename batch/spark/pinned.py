"""Settings of Spark that change numbers: pinned, and refused with another value.

A time zone moves days by hours and passes every audit, since all sides are moved alike. So what
decides how a value is read, compared, cast or rounded is not anybody's choice:

    PINNED      has one value
    _CLOSED     families of properties that exist to bring back other results of older versions, or
                to let a plan be changed while it runs
"""

from __future__ import annotations

from collections.abc import Mapping

from impressions.core.errors import SettingsError

PINNED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96TimestampConversion": "false",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.iceberg.check-nullability": "true",
    "spark.sql.iceberg.check-ordering": "true",
}
_CLOSED = ("spark.sql.legacy.", "spark.sql.adaptive.")


def check_pinned(conf: Mapping[str, str], by: str) -> None:
    """Refuses properties that would change numbers.

    Args:
        by: who gave them.

    Raises:
        SettingsError: naming the property, what was found and what is expected.
    """
    for key, value in conf.items():
        pinned = PINNED.get(key)
        if pinned is not None and value.lower() != pinned.lower():
            raise SettingsError(
                f"{by}: {key} = {value}, expected {pinned}: with another value the same events "
                "give other numbers",
                hint=f"leave {key} out",
                reason="pinned",
            )
        if pinned is None and key.startswith(_CLOSED):
            raise SettingsError(
                f"{by}: {key} = {value}: properties {', '.join(p + '*' for p in _CLOSED)} may "
                "change numbers",
                hint=f"leave {key} out",
                reason="pinned",
            )
