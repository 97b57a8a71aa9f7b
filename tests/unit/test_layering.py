"""Who imports whom, proven by reading the imports and by importing.

`lint-imports` states the contracts (pyproject.toml) over all import chains. Here are the parts it
cannot see: what a module really loads, and that the oracle of the tests is independent.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted(p.stem for p in (ROOT / "impressions" / "core").glob("[a-z]*.py"))
LAYERS = ("batch", "bulkload", "serving", "speed")


def imported(path: Path) -> set[str]:
    """Top-level names of every import statement in a file, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def loaded_by(*modules: str) -> set[str]:
    """Top-level packages, outside the standard library, that importing `modules` loads."""
    code = (
        "import sys, json, importlib\n"
        "before = set(sys.modules)\n"
        f"for name in {list(modules)!r}: importlib.import_module(name)\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(json.dumps(sorted(new - set(sys.stdlib_module_names))))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(answer.stdout))


def test_core_loads_numpy_only() -> None:
    """All core modules together load nothing but numpy and themselves."""
    assert CORE, "no core modules found"
    assert loaded_by(*(f"impressions.core.{name}" for name in CORE)) == {"impressions", "numpy"}


@pytest.mark.parametrize("name", CORE)
def test_core_names_only_stdlib_numpy_and_core(name: str) -> None:
    """No import statement, late ones included, leads out of the core."""
    allowed = set(sys.stdlib_module_names) | {"numpy"}
    for target in imported(ROOT / "impressions" / "core" / f"{name}.py"):
        package, *rest = target.split(".")
        if package == "impressions":
            assert rest[0] == "core", target
        else:
            assert package in allowed, target


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_do_not_know_each_other(layer: str) -> None:
    """They meet through files, tables and wire types."""
    for path in (ROOT / layer).rglob("*.py"):
        packages = {target.partition(".")[0] for target in imported(path)}
        assert not packages & (set(LAYERS) - {layer}), path


def test_the_oracle_shares_no_code_with_the_product() -> None:
    """oracle/naive.py is plain Python: an error of ours cannot be in both."""
    packages = {target.partition(".")[0] for target in imported(ROOT / "oracle" / "naive.py")}
    assert packages <= set(sys.stdlib_module_names)


def test_a_client_loads_no_engine() -> None:
    """What a caller of the service installs and imports is small."""
    pytest.importorskip("impressions.client", exc_type=ModuleNotFoundError)
    engines = {"pyspark", "pyiceberg", "pandas", "pyarrow", "faust", "rocksdict"}
    assert not loaded_by("impressions.client") & engines


def test_a_client_loads_no_arithmetic_and_nothing_for_failures_yet() -> None:
    """Its import is little more than that of grpc, protobuf and numpy."""
    pytest.importorskip("impressions.client", exc_type=ModuleNotFoundError)
    code = "import sys, impressions.client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    late = {"impressions.core.spec", "impressions.core.rows", "grpc_status", "google.rpc"}
    assert "impressions.core.top" in done.stdout.split()
    assert not set(done.stdout.split()) & late


def test_verbs_are_light_to_import() -> None:
    """A verb's module loads its engine when it runs, so a missing extra can be explained."""
    from impressions.cli.main import VERBS

    modules = [verb.target.partition(":")[0] for verb in VERBS.values()]
    present = [m for m in modules if (ROOT / (m.replace(".", "/") + ".py")).exists()]
    assert "impressions.cli.doctor" in present
    engines = {"pyspark", "pyiceberg", "pandas", "pyarrow", "grpc", "rocksdict"}
    assert not loaded_by(*present) & engines


def test_a_client_install_brings_no_engine() -> None:
    """The distribution of the client names none."""
    file = ROOT / "distributions" / "client" / "pyproject.toml"
    named = " ".join(tomllib.loads(file.read_text("utf-8"))["project"]["dependencies"])
    for engine in ("pyspark", "pyiceberg", "pyarrow", "pandas", "rocksdict", "faust"):
        assert engine not in named
