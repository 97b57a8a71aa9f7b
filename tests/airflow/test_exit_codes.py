"""What a scheduler does about an exit code, without a scheduler."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from tests.airflow.environment import ROOT
from tests.live import until


@pytest.fixture(scope="module")
def command() -> ModuleType:
    """deploy/airflow/impressions_command.py, which needs no Airflow."""
    path = ROOT / "deploy" / "airflow" / "impressions_command.py"
    spec = importlib.util.spec_from_file_location("impressions_command", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def printing(text: str, code: int) -> list[str]:
    return [sys.executable, "-c", f"import sys; print({text!r}); sys.exit({code})"]


@pytest.mark.parametrize("code", [1, 5, 8, 130, 137, 143, 255, -9, -15])
def test_what_time_may_mend_is_tried_again(command: ModuleType, code: int) -> None:
    assert command.Ended(code, {}).is_retried


@pytest.mark.parametrize("code", [2, 3, 4, 6, 7, 126, 127, 99])
def test_what_needs_somebody_fails_at_once(command: ModuleType, code: int) -> None:
    """Also a code that nobody knows."""
    assert not command.Ended(code, {}).is_retried


def test_a_download_that_failed_is_the_one_thing_to_install_that_is_tried_again(
    command: ModuleType,
) -> None:
    assert command.Ended(3, {"reason": "jar_download"}).is_retried


def test_every_exit_code_of_the_command_has_a_meaning(command: ModuleType) -> None:
    """The codes that `impressions --help` names."""
    words = [sys.executable, "-m", "impressions.cli.main", "--help"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    codes = {int(word) for word in said.partition("Exit codes:")[2].split() if word.isdigit()}
    assert {2, 7, 130} < codes
    assert codes - {0} <= command.RETRIED.keys() | command.FINAL.keys()


def test_a_failure_says_what_the_command_said(command: ModuleType) -> None:
    document = {"reason": "no_broker", "message": "no Kafka", "hint": "impressions kafka start"}
    ended = command.Running(printing(json.dumps(document), 5), None).wait(print)
    assert str(ended) == "exit code 5 (too early); no Kafka; impressions kafka start"
    assert ended.document["reason"] == "no_broker"


def test_the_document_is_found_among_other_lines(command: ModuleType) -> None:
    """spark-submit and ssh print lines of their own."""
    ended = command.Running(printing('hello\n{"job": "land"}\nbye', 0), None).wait(print)
    assert (ended.code, ended.document) == (0, {"job": "land"})
    assert command.Running(printing("no document", 7), None).wait(print).document == {}


def test_what_the_command_says_is_passed_on(command: ModuleType) -> None:
    said: list[str] = []
    words = [sys.executable, "-c", "import sys; print('one\\ntwo', file=sys.stderr)"]
    command.Running(words, None).wait(said.append)
    assert said == ["one", "two"]


def test_it_sees_nothing_of_the_schedulers_packages_and_secrets(
    command: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/its/packages")
    monkeypatch.setenv("IMPRESSIONS_PARTITIONS", "4")
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    seen = command.Running([sys.executable, "-c", script], None).wait(print).document
    assert not [key for key in seen if key.startswith(("AIRFLOW", "PYTHONPATH"))]
    assert seen["IMPRESSIONS_PARTITIONS"] == "4"


def test_a_stopped_task_ends_all_that_the_command_started(
    command: ModuleType, tmp_path: Path
) -> None:
    """A JVM as well: the signal goes to the whole group."""
    said: list[str] = []
    script = f"touch {tmp_path}/begun; sleep 600 & echo $! >&2; wait"
    running = command.Running(["sh", "-c", script], None)
    ended: list[object] = []
    waiting = threading.Thread(target=lambda: ended.append(running.wait(said.append)))
    waiting.start()
    until(lambda: said, "the command to have started another process")
    running.stop()
    waiting.join()
    assert [end.code for end in ended] == [-15]  # type: ignore[attr-defined]
    until(lambda: not Path(f"/proc/{said[0]}").exists(), "the process it started to end")
