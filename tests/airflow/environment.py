"""`.venv-airflow`: the packages of deploy/airflow/requirements.txt, checked by hash, made once.

`python -m tests.airflow.environment` makes it ahead (make airflow-env). Bytecode is not compiled at
once: most of what Airflow brings is never imported here.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINS = ROOT / "deploy" / "airflow" / "requirements.txt"
HOME = ROOT / ".venv-airflow"
_NOTHING_FOUND = "(from versions: none)"


class NoPackages(Exception):
    """Not a single version of a package can be seen: there is no registry to ask."""


def airflow_python() -> Path:
    """A Python that has Airflow.

    Raises:
        NoPackages: no registry answers.
        RuntimeError: pip failed for another reason, such as a hash.
    """
    python, stamp = HOME / "bin" / "python", HOME / ".installed"
    digest = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return python
    shutil.rmtree(HOME, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes", "-r", PINS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        failure = NoPackages if _NOTHING_FOUND in done.stderr else RuntimeError
        raise failure(f"pip: {done.stderr.strip()[-1000:]}")
    stamp.write_text(digest)
    return python


if __name__ == "__main__":
    print(f"airflow-env: {airflow_python()}", file=sys.stderr)
