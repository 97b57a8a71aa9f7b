"""The verbs as a person or a scheduler calls them: exit codes, stdout and stderr, JSON."""

import json
import os
import pty
import subprocess
import sys

import pytest

from bulkload.cli import app
from impressions.process.command import main
from tests.bulkload.world import NEW, OLD


@pytest.fixture
def call(world, capsys, monkeypatch):
    """Run one verb; (exit code, stdout, stderr)."""
    monkeypatch.setenv("IMPRESSIONS_HOME", str(world.settings.home))
    monkeypatch.setenv("IMPRESSIONS_PARTITIONS", str(world.settings.partitions))
    monkeypatch.setenv("IMPRESSIONS_HOST__RESERVE_BYTES", "0")

    def run(*argv):
        code = main(app, argv, prog="bulkload")
        out, err = capsys.readouterr()
        return code, out, err

    run.world = world
    return run


def test_a_week_of_an_operator(call):
    """list, load, verify, activate, status, rollback, gc: each exits 0 and reports what it did."""
    assert f"{OLD}" in call("list")[1]
    code, out, err = call("load", "latest")
    assert (code, out.startswith(f"loaded {NEW}: 2 files")) == (0, True)
    assert f"next: impressions bulkload activate {NEW}" in err
    assert call("verify", NEW)[1].startswith(f"ok: {NEW}")
    code, out, err = call("activate", NEW)
    assert (code, out) == (0, f"activated: {OLD} -> {NEW}\n")
    assert "impressions bulkload rollback" in err
    code, out, err = call("status")
    assert (code, f"active: {NEW}" in err) == (0, True)
    assert "previous" in out
    code, out, err = call("rollback")
    assert (code, out) == (0, f"rolled back: {NEW} -> {OLD}\n")
    assert f"activate {NEW} --even-if-rolled-back" in err
    code, out, err = call("gc", "--keep", "1")
    assert (code, "removed" in out) == (0, False)
    assert "kept" in err


@pytest.mark.parametrize(
    ("argv", "key"),
    [
        (["load", NEW, "--dry-run"], "action"),
        (["load", NEW], "size_bytes"),
        (["verify"], "problems"),
        (["verify", "--published"], "ok"),
        (["activate", OLD], "previous"),
        (["status"], "generations"),
        (["gc", "--dry-run"], "removed"),
    ],
)
def test_json_is_one_document_on_stdout(call, argv, key):
    """All messages for people go to stderr."""
    code, out, _ = call(*argv, "--json")
    assert (code, key in json.loads(out)) == (0, True)


def test_list_as_json_says_what_fits_and_what_does_not(call):
    """Complete, incomplete and damaged directories, each with its reason."""
    world = call.world
    world.rewrite(NEW, partitions=16)
    (world.published / "2026-11-22").mkdir()
    (world.published / "2026-11-29").mkdir()
    (world.published / "2026-11-29" / "manifest.json").write_bytes(b"{}")
    (world.published / "lost+found").mkdir()
    listed = {item["generation"]: item for item in json.loads(call("list", "--json")[1])}
    states = {name: (item["state"], item["fits"]) for name, item in listed.items()}
    assert states == {
        OLD: ("complete", True),
        NEW: ("complete", False),
        "2026-11-22": ("incomplete", False),
        "2026-11-29": ("damaged", False),
    }
    assert "number of partitions 16, this host has 2" in listed[NEW]["problem"]
    assert (listed[OLD]["loaded"], listed[OLD]["active"]) == (True, True)


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["load", "2027-01-01"], 7, "missing_manifest"),
        (["load", "yesterday"], 2, "usage"),
        (["activate", NEW], 5, "not_loaded"),
        (["rollback"], 5, "no_backup"),
        (["rollback", "--to", OLD], 2, "usage"),
        (["gc", "--generation", OLD], 7, "in_use"),
        (["verify", NEW], 5, "not_loaded"),
    ],
)
def test_refusals_have_their_exit_code_and_a_reason(call, argv, code, reason):
    """On stderr for people; the same as one JSON object under --json."""
    exit_code, out, err = call(*argv)
    assert (exit_code, out) == (code, "")
    assert err.startswith("error: ")
    exit_code, out, _ = call(*argv, "--json")
    assert (exit_code, json.loads(out)["reason"]) == (code, reason)


def test_verify_exits_with_what_it_found(call):
    """4 for rot on this host, 7 for a bad published file; names on stdout."""
    sst = next(call.world.paths.store(OLD).glob("*/*.sst"))
    sst.write_bytes(sst.read_bytes()[:-1] + b"?")
    code, out, err = call("verify")
    assert (code, sst.name in out) == (4, True)
    assert f"load {OLD} --again" in err
    call.world.sst(NEW).write_bytes(b"?")
    code, out, _ = call("verify", "--published")
    assert (code, "wrong_size" in out) == (7, True)


def test_status_of_a_damaged_host_exits_4_and_prints_all_the_same(call):
    """A scheduler notices; a person reads what to do."""
    call.world.paths.current.write_bytes(b"?")
    code, out, err = call("status")
    assert (code, OLD in out) == (4, True)
    assert "impressions bulkload activate" in err
    code, out, _ = call("status", "--json")
    assert (code, json.loads(out)["damaged"]) == (4, True)


def test_nothing_published_and_nothing_loaded_are_no_errors(call, tmp_path, monkeypatch):
    """A first look at a fresh host."""
    monkeypatch.setenv("IMPRESSIONS_HOME", str(tmp_path / "fresh"))
    code, _, err = call("list")
    assert (code, "nothing is published" in err) == (0, True)
    code, _, err = call("status")
    assert (code, "active: none" in err) == (0, True)
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_in_bytes_is_for_terminals(call, terminal):
    """On a terminal stderr shows the copy; in a pipe it holds messages only, and no escape."""
    command = [sys.executable, "-m", "bulkload", "load", NEW]
    ours, theirs = pty.openpty() if terminal else os.pipe()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True
    ) as process:
        os.close(theirs)
        err = b"".join(read_all(ours))
        out = process.stdout.read()
    os.close(ours)
    assert (process.returncode, out.startswith(f"loaded {NEW}")) == (0, True)
    assert (b"copy SST 2 of 2" in err, b"KiB" in err, b"\x1b" in err) == (terminal,) * 3
    assert b"next: impressions bulkload activate" in err


def read_all(descriptor):
    """Chunks until the other side is closed; a terminal then gives an error."""
    try:
        while chunk := os.read(descriptor, 1 << 16):
            yield chunk
    except OSError:
        return


def test_the_package_is_a_program_and_imports_nothing_heavy_for_help():
    """`python -m bulkload --help` answers in an install without its extra."""
    code = (
        "import sys; sys.argv=['x']; import bulkload.cli; "
        "print([m for m in ('pyarrow', 'rocksdict', 'numpy') if m in sys.modules])"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "[]"
    run = [sys.executable, "-m", "bulkload", "--help"]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    for verb in ("list", "load", "verify", "activate", "rollback", "status", "gc"):
        assert verb in out
