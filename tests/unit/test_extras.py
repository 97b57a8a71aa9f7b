"""A package that is absent: the extra that brings it is named, the one that the verb needs."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from impressions.core.errors import MissingDependency
from impressions.process.extras import (
    EXTRAS_OF,
    distribution_of,
    install_line,
    missing,
    require,
)

ROOT = Path(__file__).parents[2]
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_THROUGH_OTHERS = {
    "py4j": "pyspark", "pyiceberg_core": "pyiceberg", "sqlalchemy": "pyiceberg",
    "requests": "pyiceberg", "llvmlite": "numba", "google.rpc": "googleapis-common-protos",
    "google": "protobuf",
}  # fmt: skip


def requirements(extra: str) -> list[str]:
    """What an extra asks for; the client is a distribution of its own, with one extra."""
    of_client = extra in ("client", "producer")
    file = "distributions/client/pyproject.toml" if of_client else "pyproject.toml"
    project = tomllib.loads((ROOT / file).read_text())["project"]
    found: list[str] = (
        project["dependencies"] if extra == "client" else project["optional-dependencies"][extra]
    )
    return found


def brought_by(extra: str) -> set[str]:
    """Packages that an extra brings, those of the extras in it included."""
    found: set[str] = set()
    for text in requirements(extra):
        name = _NAME.match(text)[0].lower()  # type: ignore[index]
        if name != "impressions-server":
            found.add(name)
            continue
        for inner in text.partition("[")[2].partition("]")[0].split(","):
            found |= brought_by(inner)
    return found


@pytest.mark.parametrize("package", EXTRAS_OF)
def test_every_extra_that_is_named_brings_the_package(package: str) -> None:
    """And none that brings it is left out; the table follows pyproject.toml."""
    owners = importlib.metadata.packages_distributions().get(package, [package])
    wanted = {_THROUGH_OTHERS.get(package, owners[0]).lower().replace("_", "-")}
    bringing = {
        extra
        for extra in (
            "client",
            "producer",
            "serving",
            "bulkload",
            "kafka",
            "speed",
            "spark",
            "console",
        )
        if brought_by(extra) & wanted
    }
    assert set(EXTRAS_OF[package]) == bringing


@pytest.mark.parametrize(
    ("blocked", "argv", "extra"),
    [
        ("grpc", "get --profile 1", "client"),
        ("flask", "console", "console"),
        ("pyiceberg", "compact --logical-date 2026-11-15", "spark"),
        ("confluent_kafka", "topics check", "kafka"),
        ("grpc", "serve", "client"),
        ("prometheus_client", "serve", "serving"),
    ],
)
def test_the_verb_decides_which_extra_is_named(
    blocked: str, argv: str, extra: str, tmp_path: Path
) -> None:
    """Exit 3, and what to type."""
    (tmp_path / ".impressions").mkdir()
    (tmp_path / ".impressions" / "catalog.db").touch()
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {blocked!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"sys.argv = ['impressions', *{argv.split()!r}]\n"
        "from impressions.cli.main import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert install_line(extra) in done.stderr


@pytest.mark.parametrize(
    ("package", "through", "extra"),
    [
        ("numba", ["speed.engine", "impressions.compiled.flush_kernels"], "speed"),
        ("numba", ["batch.land", "impressions.compiled.flush_kernels"], "spark"),
        ("numba", ["serving.service", "impressions.compiled.profiles"], "serving"),
        ("rocksdict", ["bulkload.load", "impressions.rocksdb.generation_store"], "bulkload"),
        (
            "rocksdict",
            [
                "speed.partitions.partition",
                "impressions.deltas.store",
                "impressions.rocksdb.generation_store",
            ],
            "speed",
        ),
        ("google.protobuf", ["impressions.producer", "impressions.kafka.record_packing"], "client"),
        ("confluent_kafka", ["impressions.producer", "impressions.kafka.admin"], "producer"),
        ("google.rpc", ["impressions.client", "impressions.client.failures"], "client"),
        ("pyarrow", ["batch.replay.produce", "batch.files.reader"], "spark"),
        ("numba", ["impressions.cli.get"], "serving"),
    ],
)
def test_the_outermost_part_of_ours_on_the_way_to_the_import_decides(
    package: str, through: list[str], extra: str
) -> None:
    """If its extra brings the package."""
    run = f"raise ModuleNotFoundError('no', name={package!r})"
    for name in reversed(through):
        run = f"exec({run!r}, {{'__spec__': Spec({name!r}, None), 'Spec': Spec}})"
    with pytest.raises(ModuleNotFoundError) as caught:
        exec(run, {"Spec": ModuleSpec})
    error = missing(caught.value)
    assert error is not None
    assert error.message.endswith(distribution_of(extra))


def test_a_caller_who_knows_what_is_needed_wins() -> None:
    """Where that extra brings the package; a module of nobody's is no matter of extras."""
    absent = ModuleNotFoundError("no", name="pyarrow.fs")
    assert "[spark]" in missing(absent, "spark").message  # type: ignore[union-attr]
    assert "[bulkload]" in missing(absent, "speed").message  # type: ignore[union-attr]
    assert missing(ModuleNotFoundError("no", name="surely_not_there")) is None
    with pytest.raises(ModuleNotFoundError):
        require("surely_not_there")


def test_a_driver_that_no_extra_has_is_named_by_its_own_package() -> None:
    """A catalog in PostgreSQL needs one."""
    found = missing(ModuleNotFoundError("no", name="psycopg2"))
    assert isinstance(found, MissingDependency)
    assert found.hint == "pip install psycopg2-binary"
