"""Help: it loads nothing heavy, every verb shows an example, and what it shows can be typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from impressions.cli.main import VERBS, build_app, load_verb

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("rich", "pydantic", "numpy", "pyarrow", "grpc", "confluent_kafka", "pyspark", "rocksdict")


def verbs() -> Iterator[tuple[str, Any]]:
    """Every verb by the words that call it, those of groups too."""
    for name in VERBS:
        command = load_verb(name)
        for part, sub in getattr(command, "commands", {"": command}).items():
            yield f"{name} {part}".strip(), sub


def examples(help_text: str) -> list[list[str]]:
    """Lines that begin with `impressions`, as words. Two spaces begin a remark; a backslash at the
    end goes on in the next line."""
    joined = re.sub(r"\\\n\s*", "", help_text)
    lines = re.findall(r"^\s*impressions (.+)$", joined, re.MULTILINE)
    return [shlex.split(re.split(r"\s{2,}", line.strip())[0]) for line in lines]


VERBS_WITH_HELP = dict(verbs())


@pytest.mark.parametrize("name", VERBS_WITH_HELP)
def test_every_verb_shows_an_example(name: str) -> None:
    """Under the word Example, and of the verb itself."""
    text = VERBS_WITH_HELP[name].help or ""
    assert "Example" in text
    words = name.split()
    assert [e for e in examples(text) if e[: len(words)] == words]


@pytest.mark.parametrize("name", VERBS_WITH_HELP)
def test_every_example_parses(name: str) -> None:
    """Each flag exists and each value is of its type; nothing is run."""
    for words in examples(VERBS_WITH_HELP[name].help or ""):
        parse(words)


def test_an_example_with_a_wrong_flag_is_found() -> None:
    """The check above sees what it is for."""
    with pytest.raises(typer.TyperException):
        parse(["compact", "--logical-day", "2026-11-15"])


def test_help_loads_no_heavy_package() -> None:
    """What a verb needs is imported by that verb."""
    code = (
        "import sys; from impressions.cli.main import build_app\n"
        "from impressions.process.command import main\n"
        "main(build_app(), ['--help'], prog='impressions'); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"


def parse(words: list[str]) -> None:
    """Parses a command line down to its verb, and raises what a person would see."""
    command: Any = typer.main.get_command(build_app())
    context, name = None, "impressions"
    while hasattr(command, "commands"):
        context = command.make_context(name, words, parent=context)
        name, command, words = command.resolve_command(
            context, context._protected_args + context.args
        )
    command.make_context(name, words, parent=context)
