"""A package's docstring is its front page: it lists every module of the folder, and no other.

One line each: the name, two or more spaces, what it is.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("impressions", "batch", "speed", "serving", "bulkload", "oracle", "examples/demo")
GENERATED = {"v1"}
PACKAGES = sorted(
    page.parent
    for top in TOP
    for page in (ROOT / top).rglob("__init__.py")
    if page.parent.name not in GENERATED
)
LINE = re.compile(r"^(?: {4})?([a-z0-9_]+)  +\S", re.M)


def listed(package: Path) -> list[str]:
    page = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8")), clean=False)
    return LINE.findall(page or "")


def modules(package: Path) -> set[str]:
    files = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    return files | {path.parent.name for path in package.glob("*/__init__.py")}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_front_page_lists_what_is_in_the_folder(package: Path) -> None:
    """Each module once, with a few words; nothing that is not there."""
    names = [name for name in listed(package) if name != "__main__"]
    assert sorted(names) == sorted(set(names)), "a name twice"
    assert set(names) == modules(package)
