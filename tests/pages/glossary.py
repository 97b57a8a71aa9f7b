"""Terms of docs/glossary.md, and where a page first uses one.

    terms()                         name -> anchor, from the headings of the glossary
    unlinked(page)                  terms whose first use in the page's prose is no link to them

Code, blocks, headings and other links are no prose.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.pages.blocks import prose

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]*)\)")


def terms() -> dict[str, str]:
    """Every term with its anchor."""
    names = re.findall(r"^### (.+)$", GLOSSARY.read_text(), re.MULTILINE)
    return {name: re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in names}


def first_use(term: str, text: str) -> re.Match[str] | None:
    """Where prose first has the term: any case, plural too; a blank may be a line's end."""
    words = r"[\s-]+".join(re.escape(word) for word in re.split("[ -]", term))
    return re.search(rf"(?<![\w/-]){words}s?(?![\w/-])", text, re.IGNORECASE)


def readable(page: Path) -> str:
    """A page's prose; links to the glossary keep their words between brackets, others are blank."""

    def shorten(link: re.Match[str]) -> str:
        to_glossary = "glossary.md#" in link[2]
        return link[0] if to_glossary else re.sub(r"[^\n]", " ", link[0])

    return _LINK.sub(shorten, prose(page.read_text()))


def unlinked(page: Path) -> list[str]:
    """Terms that the page uses before it links them, or never links."""
    text = readable(page)
    links = list(_LINK.finditer(text))
    linked = {link[2].partition("#")[2]: link.start() for link in reversed(links)}
    plain = _LINK.sub(lambda link: re.sub(r"[^\n]", " ", link[0]), text)
    missing = []
    for term, anchor in terms().items():
        use = first_use(term, plain)
        if use is not None and linked.get(anchor, len(text)) > use.start():
            missing.append(term)
    return missing
