"""The two wheels, built from this tree, and clean environments to install them in."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PIN = re.compile(r"^[A-Za-z0-9_.\[\]-]+==\S+(?: ; [^\\\n]+)?", re.M)


def built(into: Path) -> tuple[Path, Path]:
    """The client's wheel and the server's, both built as `pip wheel` does it."""
    for source in ("distributions/client", "."):
        run(
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
            "--wheel-dir", into, ROOT / source, cwd=into,
        )  # fmt: skip
    (client,) = into.glob("impressions_client-*.whl")
    (server,) = into.glob("impressions_server-*.whl")
    return client, server


def files_of(wheel: Path) -> set[str]:
    """What it puts into site-packages, its own metadata left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def clean_environment(directory: Path, *wanted: str, links: Path) -> Path:
    """The bin directory of a new environment with `wanted`, other packages as constraints.txt
    pins them."""
    pins = _PIN.findall((ROOT / "constraints.txt").read_text())
    (directory / "pins.txt").write_text("\n".join(pin.rstrip(" \\") for pin in pins))
    run(sys.executable, "-m", "venv", directory / "venv", cwd=directory)
    python = directory / "venv" / "bin" / "python"
    run(
        python, "-m", "pip", "install", "--quiet", "--find-links", links,
        "-c", directory / "pins.txt", *wanted, cwd=directory,
    )  # fmt: skip
    return python.parent


def run(*command: object, cwd: Path) -> str:
    """Standard output; the error of a command that fails is shown."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=1_500
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
