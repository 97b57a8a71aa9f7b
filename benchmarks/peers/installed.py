"""A peer's own environment: its pinned packages, never in the product's.

In: the name of a peer, whose packages `benchmarks/peers/<name>.txt` pins by hash. Out: a Python
that has them, in `.venv-peers/<name>`, made on first use. What a peer needs may contradict what we
need (Feast wants another protobuf), and no user of ours ever installs it.

The files come from `<name>.in` by:

    uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \\
      --no-emit-find-links -o benchmarks/peers/<name>.txt benchmarks/peers/<name>.in
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from impressions.terminal.console import say

_HERE = Path(__file__).parent
_HOME = _HERE.parent.parent / ".venv-peers"


class PeerMissing(Exception):
    """The peer's packages could not be had; its columns stay empty and the run says so."""


def python_of(name: str) -> Path:
    """The Python of a peer's environment.

    Raises:
        PeerMissing: pip could not install what is pinned.
    """
    pins = _HERE / f"{name}.txt"
    home = _HOME / name
    stamp, digest = home / ".installed", hashlib.sha256(pins.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        say(f"bench: installing the peer {name} into {home} (once)")
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes"]
        done = subprocess.run([*pip, "-r", pins], capture_output=True, text=True)
        if done.returncode:
            raise PeerMissing(f"{name}: pip failed: {done.stderr.strip()[-400:]}")
        stamp.write_text(digest)
    return home / "bin" / "python"
