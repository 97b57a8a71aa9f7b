"""Commands that pages tell a person to type exist, with the flags that they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from impressions.cli.main import VERBS, load_verb

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/runbook").glob("*")]
)
EVERYWHERE = {"--config", "--set", "--help", "--version"}


def commands(page: Path) -> list[list[str]]:
    """Words of each `impressions ...` in code, inline and in blocks."""
    text = page.read_text()
    typed = re.findall(r"`impressions ([^`]*)`", text)
    blocks = "\n".join(_blocks(text))
    typed += re.findall(r"^impressions (.*?)(?:  |#|&|$)", blocks, re.MULTILINE)
    return [words.split() for words in typed]


def _blocks(text: str) -> list[str]:
    """Shell blocks, and indented lines."""
    fenced = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
    return [*fenced, *re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)]


def wrong_with(words: list[str]) -> str | None:
    """What of a command does not exist: the verb, its part, or a flag."""
    verb, *rest = [word.rstrip(",;:") for word in words]
    if not re.fullmatch(r"[a-z]+", verb):
        return None  # "impressions --help", or the name of the product in a sentence
    if verb not in VERBS:
        return verb
    command: Any = load_verb(verb)
    for part in rest:
        if not hasattr(command, "commands") or part.startswith("-"):
            break
        if "|" in part or part not in command.commands:
            return None if "|" in part else f"{verb} {part}"
        command = command.commands[part]
    known = {option for parameter in command.params for option in parameter.opts} | EVERYWHERE
    flags = [word.partition("=")[0] for word in rest if word.startswith("--")]
    unknown = [flag for flag in flags if flag not in known]
    return f"{verb} {' '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_exists(page: Path) -> None:
    """A verb or a flag that was renamed would send somebody to an error at night."""
    assert [wrong for words in commands(page) if (wrong := wrong_with(words))] == []


def test_commands_are_recognised() -> None:
    """The test above would pass if it saw none."""
    seen = [words for page in PAGES for words in commands(page)]
    assert len(seen) > 80
    assert wrong_with(["bulkload", "lode", "latest"]) == "bulkload lode"
    assert wrong_with(["land", "--accept-lost"]) == "land --accept-lost"
