"""The doctor: each fault gives its fix, and nothing is made or changed by looking."""

from __future__ import annotations

import importlib.util
import json
import socket
from pathlib import Path

import pytest

from impressions.cli import doctor
from impressions.cli.checks import clock, network, packages
from impressions.cli.doctor import Check, examine
from impressions.cli.main import build_app
from impressions.jvm import jars
from impressions.kafka.client import address_file
from impressions.process.command import main
from impressions.producer import Producer
from impressions.settings.model import Settings
from impressions.settings.sections.batch import Catalog, Spark
from impressions.settings.sections.live import Host, Kafka, Serving
from tests.broker import TestBroker, stream_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "state", serving=Serving(listen="127.0.0.1:0"))


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_fresh_machine_is_fine_and_stays_untouched(settings: Settings, tmp_path: Path) -> None:
    """State that does not exist yet is no fault, and is not made by looking."""
    checks = by_name(examine(settings))
    for name in (
        "python",
        *(f"extra [{e}]" for e in ("bulkload", "serving", "kafka", "speed", "console")),
    ):
        assert checks[name].state == "ok", checks[name]
    for name in ("state directory", "free disk", "catalog", "generations", "port", "clock"):
        assert checks[name].state == "ok", checks[name]
    assert checks["broker"].state == "skip"
    assert "impressions kafka start" in checks["broker"].found
    assert list(tmp_path.iterdir()) == []


def test_absent_jars_name_the_verb_that_fetches_them(settings: Settings, tmp_path: Path) -> None:
    """The fix is a line to type. It is a note: the weekly run, workers and servers need none."""
    settings = settings.model_copy(update={"spark": Spark(jars_dir=tmp_path / "none")})
    checks = by_name(examine(settings))
    for check in (checks["jars"], checks["kafka jars"]):
        assert (check.state, check.fix, check.required) == ("note", "impressions jars", False)
    assert "used only by `compact --recompute`" in checks["jars"].found
    assert "used only by `kafka start`" in checks["kafka jars"].found


def test_jars_with_other_bytes_need_a_fix(settings: Settings, tmp_path: Path) -> None:
    """Somebody changed them: that is no note."""
    for jar in jars.read_lock():
        (tmp_path / jar.file_name).write_bytes(b"other bytes")
    settings = settings.model_copy(update={"spark": Spark(jars_dir=tmp_path)})
    check = by_name(examine(settings))["jars"]
    assert (check.state, check.required) == ("fix", True)


def test_wrong_java_is_noted(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Java at all: what needs it, and the install lines."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = by_name(examine(settings))["java"]
    assert (check.state, check.required) == ("note", False)
    assert "spark-submit, `kafka start`" in check.found
    assert "brew install" in (check.fix or "")


def test_full_disk_and_unwritable_home(settings: Settings, tmp_path: Path) -> None:
    """Both numbers for the disk; the setting that moves the directory."""
    (tmp_path / "file").write_text("")
    broken = settings.model_copy(
        update={"home": tmp_path / "file" / "state", "host": Host(reserve_bytes=1 << 60)}
    )
    checks = by_name(examine(broken))
    assert checks["state directory"].state == "fix"
    assert "--set home=" in (checks["state directory"].fix or "")
    assert "1.0 EiB" in checks["free disk"].found or "1024.0 PiB" in checks["free disk"].found


def test_unreachable_catalog_and_generations(settings: Settings, tmp_path: Path) -> None:
    """A broken database and a file in the place of a directory."""
    (tmp_path / "broken.db").write_bytes(b"this is no database at all, not even nearly" * 50)
    (tmp_path / "file").write_text("")
    broken = settings.model_copy(
        update={
            "catalog": Catalog(uri=f"jdbc:sqlite:{tmp_path / 'broken.db'}"),
            "generations_uri": f"file://{tmp_path / 'file'}",
        }
    )
    checks = by_name(examine(broken))
    assert checks["catalog"].state == "fix"
    assert "broken.db" in checks["catalog"].found
    assert checks["generations"].state == "fix"
    assert "is a file" in checks["generations"].found


def test_a_uid_without_a_name_and_without_a_home_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs under any uid: what Spark needs, and where caches go."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    checks = by_name(examine(settings))
    assert checks["user"].state == "note"
    assert "/etc/passwd" in (checks["user"].fix or "")
    assert (checks["cache directory"].state, checks["cache directory"].required) == ("fix", False)
    assert "XDG_CACHE_HOME" in (checks["cache directory"].fix or "")


def test_a_taken_port_is_named_but_stops_nothing(settings: Settings) -> None:
    """Where a server runs already, the port is its own."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = settings.model_copy(update={"serving": Serving(listen=f"127.0.0.1:{port}")})
        check = by_name(examine(busy))["port"]
    assert (check.state, check.required) == ("fix", False)


def test_a_configured_broker_must_answer(settings: Settings) -> None:
    """Somebody else's broker: no jars are needed here, but it has to be there."""
    elsewhere = settings.model_copy(update={"kafka": Kafka(bootstrap="127.0.0.1:1")})
    checks = by_name(examine(elsewhere))
    assert checks["kafka jars"].state == "skip"
    assert (checks["broker"].state, checks["broker"].required) == ("fix", True)
    assert "kafka.bootstrap" in (checks["broker"].fix or "")


def test_a_local_broker_that_is_down_is_named_but_stops_nothing(settings: Settings) -> None:
    """After a crash its address stays behind; the next start cures it."""
    address = address_file(settings)
    address.parent.mkdir(parents=True)
    address.write_text("127.0.0.1:1\n")
    check = by_name(examine(settings))["broker"]
    assert (check.state, check.required) == ("fix", False)


@pytest.mark.kafka
def test_topics_and_the_clock_of_a_broker(
    tmp_path: Path, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absent topics name the verb; then all is well; a clock an hour behind is found."""
    absent = stream_settings(tmp_path, broker, 2, create=False)
    assert by_name(examine(absent))["broker"].fix == "impressions topics create"
    there = stream_settings(tmp_path, broker, 2)
    checks = by_name(examine(there))
    assert checks["broker"].state == "ok"
    assert "no record" in checks["broker clock"].found
    with Producer(there) as producer:
        producer.add(1, 1, title_ids=[9], event_time_ms=[1_800_000_000_000])
        assert producer.flush(10) == 0
    assert by_name(examine(there))["broker clock"].state == "ok"
    real_ms = network.now_ms
    monkeypatch.setattr(network, "now_ms", lambda: real_ms() - 3_600_000)
    check = by_name(examine(there))["broker clock"]
    assert (check.state, check.required) == ("fix", False)
    assert "in the future of this clock" in check.found


def test_a_clock_that_steps_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour's step while the checks ran, and a clock that was never set."""
    times = iter([1_800_000_000_000, 1_800_003_600_000])
    for module in (doctor, clock):
        monkeypatch.setattr(module, "now_ms", lambda: next(times))
        monkeypatch.setattr(module, "monotonic_s", lambda: 0.0)
    assert "stepped by 3600.0 s" in by_name(examine(settings))["clock"].found
    monkeypatch.setattr(clock, "now_ms", lambda: 0)
    monkeypatch.setattr(doctor, "now_ms", lambda: 0)
    assert by_name(examine(settings))["clock"].state == "fix"


def test_an_install_without_spark_skips_what_is_sparks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A serving host needs no Java: skipped with the install line, not failed."""
    real_import, real_find = importlib.import_module, importlib.util.find_spec

    def without(name: str) -> bool:
        return name.partition(".")[0] in ("pyspark", "pyiceberg")

    def import_module(name: str) -> object:
        if without(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
        return real_import(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if without(n) else real_find(n))
    checks = by_name(examine(settings))
    assert "pip install 'impressions-server[spark]'" in checks["extra [spark]"].found
    assert [checks[n].state for n in ("extra [spark]", "java", "jars", "catalog")] == ["skip"] * 4
    assert not [c for c in checks.values() if c.state == "fix"]


def test_another_version_than_pinned_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found and expected, from the distribution's own pins."""
    monkeypatch.setattr(packages.metadata, "version", lambda name: "0.0.1")
    check = by_name(examine(settings))["extra [bulkload]"]
    assert check.found == "found rocksdict 0.0.1, expected 0.3.29"


def test_exit_code_and_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text for people, one document for programs, exit 3 when something required is broken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    argv = ["doctor", "--set", f"home={tmp_path}/file/state"]
    assert main(build_app(), argv, prog="impressions") == 3
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("fix   state directory") for line in lines)
    assert any(line.strip().startswith("-> --set home=") for line in lines)
    assert main(build_app(), [*argv, "--json"], prog="impressions") == 3
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert {c["name"]: c["state"] for c in report["checks"]}["state directory"] == "fix"


@pytest.mark.spark
def test_short_is_a_line_per_area_and_the_checks_that_need_a_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A well area is one line; in another only what is not so is shown, with its fix. Notes do not
    change the exit code."""
    monkeypatch.chdir(tmp_path)
    argv = ["doctor", "--short", "--set", f"spark.jars_dir={tmp_path}/none"]
    argv += ["--set", "serving.listen=127.0.0.1:0"]
    assert main(build_app(), argv, prog="impressions") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if "->" not in line] == [
        ["ok", "packages"], ["note", "java"], ["note", "java"], ["ok", "disk"],
        ["ok", "network"], ["ok", "clock"],
    ]  # fmt: skip
    assert sum("-> impressions jars" in line for line in lines) == 2


def test_every_check_belongs_to_an_area(settings: Settings) -> None:
    """A new check that belongs to none would not be seen in the short form."""
    assert {check.area for check in examine(settings)} == set(doctor.AREAS)
