"""A process with real Airflow, and its answers; nothing of it outlives `with`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.airflow.environment import ROOT

_CLEAN = ("AIRFLOW", "PYTHONPATH", "IMPRESSIONS")


class Scheduler:
    """Airflow with a metadata database of its own in `home`, no examples, no network."""

    def __init__(self, python: Path, home: Path) -> None:
        home.mkdir()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(_CLEAN)}
        environment |= {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "deploy" / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "PYTHONDONTWRITEBYTECODE": "1",  # none of its own beside the DAG
        }
        self.log = home / "log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [python, ROOT / "tests" / "airflow" / "weekly_dag.py"],
                cwd=home, env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One request; fails with the end of Airflow's log if it gave no answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"Airflow has ended:\n{self.log.read_text('utf-8', 'replace')[-3000:]}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
