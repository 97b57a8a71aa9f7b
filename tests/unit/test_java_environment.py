"""A JVM's locale: UTF-8, whatever the shell's is."""

from __future__ import annotations

import pytest

from impressions.jvm.environment import java_environment


@pytest.mark.parametrize(
    "given",
    [{}, {"LANG": "C"}, {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, {"LC_CTYPE": "de_DE.ISO-8859-1"}],
)
def test_a_locale_that_cannot_name_every_file_is_replaced(given: dict[str, str]) -> None:
    """None, C, and every other encoding; LC_ALL stands above LC_CTYPE above LANG."""
    assert java_environment({"A": "b", **given}) == {"A": "b", **given, "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize(
    "given", [{"LANG": "C.UTF-8"}, {"LC_ALL": "", "LANG": "de_DE.utf8@euro", "TZ": "UTC"}]
)
def test_one_of_utf_8_stays(given: dict[str, str]) -> None:
    """Messages keep their language."""
    assert java_environment(given) == given
