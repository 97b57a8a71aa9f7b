"""The runbook: each alert and each symptom has one page, and a page says what a person needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "docs" / "runbook"
PAGES = sorted(page for page in RUNBOOK.glob("*.md") if page.name != "README.md")
INDEX = (RUNBOOK / "README.md").read_text()
ALERTS = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
SOURCES = ("batch", "bulkload", "cli", "deltas", "impressions", "local", "serving", "speed")
PARTS = ("**Means**", "**Look**", "**Do**", "**Wake somebody**")


def alerts() -> dict[str, str]:
    """Alert -> the page that its annotation names."""
    return dict(re.findall(r"- alert: (\w+).*?runbook_url: docs/runbook/(\S+)", ALERTS, re.DOTALL))


def test_each_alert_leads_to_the_page_about_it() -> None:
    """The annotation names the page, the page begins with the alert, the index lists both."""
    assert alerts().keys() == set(re.findall(r"- alert: (\w+)", ALERTS))
    for alert, page in alerts().items():
        assert (RUNBOOK / page).read_text().startswith(f"# {alert}\n"), alert
        assert re.search(rf"^\| {alert} \|.*\({page}\)", INDEX, re.MULTILINE), alert


def test_each_page_is_of_an_alert_or_of_a_symptom_and_stands_once_in_the_index() -> None:
    listed = re.findall(r"\(([\w-]+\.md)\)", INDEX)
    assert sorted(listed) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_read_on_a_phone_at_night(page: Path) -> None:
    """Means, look, do, wake somebody: in this order, in short lines, on one or two screens."""
    text = page.read_text()
    assert [text.count(f"\n{part}\n") for part in PARTS] == [1] * len(PARTS)
    assert sorted(PARTS, key=text.index) == list(PARTS)
    lines = text.splitlines()
    assert len(lines) <= 60
    assert [line for line in lines if len(line) > 110] == []


def test_reasons_in_the_index_are_words_that_the_product_says() -> None:
    """A reason that was renamed would send somebody to no page."""
    reasons = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)*)`", INDEX))
    files = [file for source in SOURCES for file in (ROOT / source).rglob("*.py")]
    code = "\n".join(file.read_text() for file in files)
    assert len(reasons) > 30
    assert sorted(reason for reason in reasons if f'"{reason}"' not in code) == []
