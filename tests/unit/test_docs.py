"""What the documents point to exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:\w+/)+[\w.-]+\.(?:py|md|toml|json|hex|proto|yml|yaml))`", page.read_text()
    )
    made = [name for name in named if not name.startswith("benchmarks/out/")]
    assert [name for name in made if not (ROOT / name).exists()] == []


def test_each_promise_is_tested_by_a_test_that_exists() -> None:
    """docs/reliability.md names tests as `<file>::<test>`."""
    page = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 40
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"def {test}\b|class {test}\b", (ROOT / file).read_text())
    ]
    assert missing == []
