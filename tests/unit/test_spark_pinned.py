"""Settings of Spark that change numbers are refused, whoever gives them."""

from __future__ import annotations

import pytest

from batch.spark.pinned import PINNED, check_pinned
from batch.spark.session import escaped
from impressions.core.errors import SettingsError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spark.sql.session.timeZone", "America/New_York"),
        ("spark.sql.ansi.enabled", "false"),
        ("spark.sql.caseSensitive", "true"),
        ("spark.sql.parquet.int96RebaseModeInRead", "LEGACY"),
        ("spark.sql.files.ignoreCorruptFiles", "true"),
        ("spark.sql.legacy.timeParserPolicy", "LEGACY"),
        ("spark.sql.adaptive.enabled", "false"),
    ],
)
def test_another_value_is_refused_with_the_property(key: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_pinned({"spark.executor.memory": "4g", key: value}, "spark.conf")
    assert refused.value.reason == "pinned"
    assert key in refused.value.message


def test_the_pinned_values_themselves_and_other_properties_pass() -> None:
    check_pinned(PINNED | {"spark.sql.shuffle.partitions": "8"}, "spark.conf")


def test_a_properties_file_keeps_every_sign() -> None:
    """Blanks, equal signs, backslashes, line breaks, signs outside of ASCII and of 16 bits."""
    assert escaped("a b=c") == "a\\ b\\=c"
    assert escaped("x\\y\n") == "x\\\\y\\u000a"
    assert escaped("ü😀") == "\\u00fc\\ud83d\\ude00"
