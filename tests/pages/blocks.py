"""Fenced blocks of a Markdown page, and whether what was printed is what a page shows.

    for block in blocks(page): block.kind, block.text, block.sample

A `text` block that follows another block is that block's sample of what it prints. In a sample
`...` stands for anything, line breaks too; runs of blanks count as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; `sample` is None where the page shows no output."""

    kind: str
    text: str
    line: int
    sample: str | None = None


def blocks(page: Path) -> list[Block]:
    """Every block but the samples, in order, each with its sample."""
    listed: list[Block] = []
    text = page.read_text()
    for match in _FENCED.finditer(text):
        block = Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        if block.kind == "text" and listed and listed[-1].sample is None:
            last = listed.pop()
            block = Block(last.kind, last.text, last.line, sample=block.text)
        listed.append(block)
    return listed


def prose(text: str) -> str:
    """A page without its blocks, code and headings; each is replaced by blanks of its length."""
    blank = r"(?ms)^```.*?^```$|`[^`\n]*`|^#.*?$|^ {4}.*?$"
    return re.sub(blank, lambda hidden: re.sub(r"[^\n]", " ", hidden[0]), text)


def shows(sample: str, printed: str) -> bool:
    """Whether `printed` is what the sample says."""
    parts = [re.escape(part) for part in _tidy(sample).split("...")]
    return re.fullmatch(r".*?".join(parts), _tidy(printed), re.DOTALL) is not None


def _tidy(text: str) -> str:
    return re.sub(r"[ \t]+", " ", re.sub(r"[ \t]*\n", "\n", text)).strip()
