"""Two distributions fill one package: disjoint, complete, and the client without engines."""

from __future__ import annotations

import ast
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.distributions.wheels import ROOT, built, clean_environment, files_of, run

ENGINES = {"pyspark", "pyiceberg", "pyarrow", "pandas", "rocksdict", "faust", "numba"}
VERBS_OF = {
    "serving": ["serve"],
    "bulkload": ["bulkload", "load"],
    "kafka": ["topics", "create"],
    "speed": ["speed"],
    "spark": ["compact"],
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> tuple[Path, Path]:
    return built(tmp_path_factory.mktemp("wheels"))


def tracked() -> set[str]:
    """The product's files, as git knows them."""
    names = run("git", "ls-files", "impressions", "batch", "bulkload", "speed", "serving", cwd=ROOT)
    return set(names.split())


def test_each_file_is_in_one_of_the_two(wheels):
    """Or an uninstall of one would break the other."""
    client, server = map(files_of, wheels)
    assert not client & server
    assert tracked() - client - server == set()
    assert {"impressions/py.typed", "impressions/LICENSE"} <= client


def test_the_client_names_nothing_that_it_does_not_bring(wheels):
    """No import in it, late ones included, leads to a file of the server."""
    client, _ = wheels
    files = files_of(client)
    with zipfile.ZipFile(client) as archive:
        for name in sorted(n for n in files if n.endswith(".py")):
            for node in ast.walk(ast.parse(archive.read(name))):
                if not isinstance(node, ast.ImportFrom) or not str(node.module).startswith("impr"):
                    continue
                for path in _paths(node):
                    assert path & files, f"{name} imports {node.module}"


def _paths(node: ast.ImportFrom) -> list[set[str]]:
    """For each imported name the files that may hold it."""
    base = str(node.module).replace(".", "/")
    own = {f"{base}.py", f"{base}/__init__.py"}
    if (ROOT / f"{base}.py").exists():
        return [own]
    return [
        {f"{base}/{a.name}.py", f"{base}/{a.name}/__init__.py"}
        if (ROOT / base / f"{a.name}.py").exists() or (ROOT / base / a.name).is_dir()
        else own
        for a in node.names
    ]


@pytest.mark.slow
def test_a_client_install_is_small_and_works(wheels, tmp_path):
    """In a clean environment, outside the source tree: no engine, one package of ours."""
    client, _ = wheels
    bin_ = clean_environment(tmp_path, str(client), links=client.parent)
    code = (
        "from impressions.client import ImpressionsClient, Top\n"
        "with ImpressionsClient('127.0.0.1:1', timeout_s=0.2, retries=False) as client:\n"
        "    try: client.get(42, top=Top(10, 'plays', 7))\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    assert run(bin_ / "python", "-c", code, cwd=tmp_path) == "CallFailed\n"
    listed = run(bin_ / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    installed = {line.partition("==")[0].lower() for line in listed.split()}
    assert not installed & ENGINES
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    assert (site / "impressions").is_dir()
    assert not [p for p in ("batch", "speed", "serving", "bulkload") if (site / p).exists()]


@pytest.mark.slow
def test_a_producer_without_its_extra_says_what_to_install(wheels, tmp_path):
    """The import fails with the line; with the extra it succeeds."""
    client, _ = wheels
    bin_ = clean_environment(tmp_path, str(client), links=client.parent)
    done = subprocess.run(
        [bin_ / "python", "-c", "import impressions.producer"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "impressions-client[producer]" in done.stderr
    run(
        bin_ / "python", "-m", "pip", "install", "--quiet", "-c", tmp_path / "pins.txt",
        f"{client}[producer]", cwd=tmp_path,
    )  # fmt: skip
    run(bin_ / "python", "-c", "import impressions.producer", cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("extra", VERBS_OF)
def test_each_extra_makes_its_verb_start(wheels, extra, tmp_path):
    """`impressions VERB --help` and doctor's line of the extra, outside the source tree."""
    client, server = wheels
    bin_ = clean_environment(tmp_path, str(client), f"{server}[{extra}]", links=client.parent)
    assert "Usage" in run(bin_ / "impressions", *VERBS_OF[extra], "--help", cwd=tmp_path)
    done = subprocess.run(
        [bin_ / "impressions", "doctor", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert f'"extra [{extra}]"' in done.stdout, done.stderr
    state = done.stdout.partition(f'"extra [{extra}]"')[2].partition("}")[0]
    assert '"ok"' in state
