"""Links between pages lead somewhere, terms are linked at first use, figures are measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pages import glossary

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

LINKED = [
    "README.md",
    "docs/architecture.md",
    "docs/operations.md",
    "docs/monitoring.md",
    "docs/querying.md",
    "docs/runbook/README.md",
]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """What a link may name in a page: its headings as GitHub spells them, and ids in HTML."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the tree and a heading that it has; the web is not looked at."""
    text = re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", page.read_text())
    broken = []
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors(to)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", LINKED)
def test_a_term_is_linked_where_it_first_appears(page: str) -> None:
    """In prose; a heading or code needs no link."""
    assert glossary.unlinked(ROOT / page) == []


def test_each_term_stands_once_and_in_order() -> None:
    names = re.findall(r"^### (.+)$", glossary.GLOSSARY.read_text(), re.MULTILINE)
    lower = [name.lower() for name in names]
    assert lower == sorted(set(lower))
    assert len(glossary.terms()) > 40


def test_the_five_numbers_were_measured() -> None:
    """Each figure of README's table stands in a row of docs/performance.md."""
    readme, measured = (ROOT / "README.md").read_text(), ROOT / "docs" / "performance.md"
    rows = re.findall(
        r"^\|.*\|$", readme.split("## Five numbers")[1].split("\n## ")[0], re.MULTILINE
    )
    known = set(re.findall(r"[\d,]+(?:\.\d+)?", measured.read_text()))
    assert len(rows) == 2 + 5
    for row in rows[2:]:
        figures = re.findall(r"[\d,]*\d(?:\.\d+)?", " ".join(row.split("|")[2:]))
        assert figures, row
        assert [figure for figure in figures if figure not in known] == [], row
