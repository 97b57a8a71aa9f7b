"""Only impressions/rocksdb/scan.py iterates a database.

RocksDB's own iterators (`keys`, `items`, `values`, `iter`) end silently at a damaged block;
`scan` asks the status afterwards. This looks at every name that holds a database: assigned
from `Rdict(...)`, bound by `with ... as`, annotated `Rdict`, or called db or rdict.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("impressions", "batch", "bulkload", "speed", "serving")
ALLOWED = ROOT / "impressions" / "rocksdb" / "scan.py"
OPENERS = {"Rdict", "open_read_only"}
SCANS = {"keys", "items", "values", "iter"}
USUAL_NAMES = {"db", "_db", "rdict"}


def last_name(node):
    """The rightmost identifier of `a`, `a.b` or `a.b(...)`."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return getattr(node, "attr", None) or getattr(node, "id", None)


def opens(node):
    return isinstance(node, ast.Call) and last_name(node) in OPENERS


def is_store(annotation):
    return annotation is not None and "Rdict" in ast.unparse(annotation)


def stores(tree):
    """Identifiers that hold a store somewhere in the module."""
    names = set(USUAL_NAMES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and opens(node.value):
            names |= {last_name(target) for target in node.targets}
        elif isinstance(node, ast.withitem) and opens(node.context_expr) and node.optional_vars:
            names.add(last_name(node.optional_vars))
        elif isinstance(node, ast.AnnAssign) and is_store(node.annotation):
            names.add(last_name(node.target))
        elif isinstance(node, ast.arg) and is_store(node.annotation):
            names.add(node.arg)
    return names


def blind_scans(source):
    """Lines that iterate a store without asking its status."""
    tree = ast.parse(source)
    names = stores(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            held = node.func.value
            if node.func.attr in SCANS and (last_name(held) in names or opens(held)):
                found.append(node.lineno)
        elif isinstance(node, ast.For | ast.comprehension) and last_name(node.iter) in names:
            found.append(node.iter.lineno)
    return found


def test_no_module_iterates_a_store_by_itself():
    """Every source file of the product but the one that may."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert ALLOWED in files
    blind = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        if path != ALLOWED
        for line in blind_scans(path.read_text(encoding="utf-8"))
    }
    assert not blind, f"use impressions.rocksdb.scan: {sorted(blind)}"


@pytest.mark.parametrize(
    "source",
    [
        "s = generation_store.open_read_only(p)\nfor k, v in s.items(): pass",
        "s = Rdict(p)\nn = sum(1 for _ in s.keys())",
        "class A:\n  def f(self): self.held = Rdict(p); return list(self.held.values())",
        "def f(s: Rdict): return s.iter()",
        "with Rdict(p) as s:\n  s.items()",
        "generation_store.open_read_only(p).keys()",
        "for key in db: pass",
    ],
)
def test_the_lint_finds_what_it_bans(source):
    """Each way to write it."""
    assert blind_scans(source)


def test_the_lint_leaves_mappings_and_the_safe_scan_alone():
    """A dict may be iterated; so may the one safe scan."""
    assert not blind_scans("d = {}\nfor k, v in d.items(): pass\nfor k, v in db.scan(): pass")


def test_the_one_allowed_scan_asks_the_status():
    """And it is the only iteration there, too."""
    source = ALLOWED.read_text(encoding="utf-8")
    assert len(blind_scans(source)) == 1
    assert ".status()" in source
