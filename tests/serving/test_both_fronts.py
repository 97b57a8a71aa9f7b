"""What the tests of this folder say of the front they say of grpcio's own handlers, too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = ("answers", "auth", "budget", "connections", "errors", "limits", "many", "swap")
FOLDERS = ("live",)
"""What is not about calls is the same with either."""
OTHER = {"IMPRESSIONS_SERVING__FRONT": "grpc"}


@pytest.mark.slow
def test_the_quick_tests_of_calls_pass_without_the_front():
    """In a process of its own, which is told by a variable; servers that it starts read it too."""
    here = Path(__file__).parent
    files = [str(here / name) for name in (*(f"test_{name}.py" for name in FILES), *FOLDERS)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files,
         "-m", "not slow and not alone and not kafka and not spark"],
        env={**os.environ, **OTHER},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4_000:]
    assert "[100%]" in done.stdout
