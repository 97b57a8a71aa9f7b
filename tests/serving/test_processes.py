"""Real processes: start, share a port, crash, stop in order; a retrying client notices nothing."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from impressions.client import ImpressionsClient
from tests.generations import CUTOVER_MS
from tests.serving.process import Process, alive, end
from tests.serving.support import install, settings_in, until


@pytest.fixture
def host(tmp_path):
    settings = settings_in(tmp_path)
    install(settings)
    return settings


@pytest.fixture
def start(host, tmp_path):
    """Starts processes; ends those still alive after the test."""
    with contextlib.ExitStack() as stack:

        def started(*flags: str) -> Process:
            process = Process(host, tmp_path, *flags)
            stack.callback(end, process)
            return process

        yield started


@contextlib.contextmanager
def asking(client, threads: int = 3):
    """Threads that ask without pause; yields (answered, failures)."""
    answered, failures, stop = Counter(), [], threading.Event()

    def ask():
        while not stop.is_set():
            for profile in range(1, 11):
                try:
                    client.get(profile, at_ms=CUTOVER_MS)
                    answered["ok"] += 1
                except Exception as error:
                    failures.append(error)

    running = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield answered, failures
    finally:
        stop.set()
        for thread in running:
            thread.join()


def more(answered, by: int = 50):
    before = answered["ok"]
    until(lambda: answered["ok"] >= before + by, f"{by} more answers")


def test_sigterm_under_load_exits_0_and_a_retrying_client_sees_no_failure(start):
    """Two servers, one client over both; the first is asked to stop in the middle of it."""
    first, second = start("--listen", "127.0.0.1:0"), start("--listen", "127.0.0.1:0")
    target = f"ipv4:{first.address},{second.address}"
    with ImpressionsClient(target, timeout_s=10) as client, asking(client) as (answered, failures):
        more(answered)
        assert first.stop() == 0
        more(answered)
    assert failures == []
    assert " call " in first.log, "the first server had answered calls"
    assert re.search("stopping .*\n(.*\n)*.*stopped", first.log)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_both_signals_stop_in_order_and_exit_0(start, signum, workers):
    process = start("--listen", "127.0.0.1:0", "--workers", workers)
    pids = process.worker_pids() if workers == "2" else [process.popen.pid]
    assert process.stop(signum) == 0
    assert process.log.count(" stopped ") == int(workers)
    assert "Traceback" not in process.log
    assert not any(alive(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have ids of their own on Linux")
def test_a_signal_that_the_kernel_gives_to_another_thread_stops_it_too(start):
    """Python's handlers run in the main thread only, and only when that wakes."""
    process = start("--listen", "127.0.0.1:0")
    pid = process.popen.pid
    threads = [int(tid) for tid in os.listdir(f"/proc/{pid}/task")]
    other = next(tid for tid in reversed(threads) if tid != pid)
    assert ctypes.CDLL(None).tgkill(pid, other, int(signal.SIGTERM)) == 0
    assert process.popen.wait(30) == 0


def test_two_workers_share_one_port_and_both_get_calls(start):
    """The kernel spreads connections, so a client with several channels reaches both."""
    process = start("--listen", "127.0.0.1:0", "--workers", "2")
    with ImpressionsClient(process.address, timeout_s=10, channels=16) as client:
        for profile in range(1, 33):
            client.get(profile, at_ms=CUTOVER_MS)
    calls = re.findall(r" call .*worker=(\d)", process.log)
    assert len(calls) == 32
    assert set(calls) == {"0", "1"}


def test_a_worker_that_is_killed_is_replaced_and_a_retrying_client_sees_no_failure(start):
    process = start("--listen", "127.0.0.1:0", "--workers", "2")
    victim, survivor = process.worker_pids()
    with (
        ImpressionsClient(process.address, timeout_s=10, channels=8) as client,
        asking(client) as (answered, failures),
    ):
        more(answered)
        os.kill(victim, signal.SIGKILL)
        until(lambda: "worker-died" in process.log, "the parent noticed")
        more(answered)
        until(lambda: process.log.count("INFO started") == 4, "another worker was started")
        more(answered)
    assert failures == []
    assert alive(survivor)
    assert not alive(victim)
    assert f"pid={victim} code=-9" in process.log
    assert process.stop() == 0


def test_workers_whose_parent_is_killed_stop_by_themselves(start):
    process = start("--listen", "127.0.0.1:0", "--workers", "2")
    pids = process.worker_pids()
    assert all(alive(pid) for pid in pids)
    process.stop(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids), "both workers are gone")


@pytest.mark.parametrize("first", ["1", "2"])
@pytest.mark.parametrize("second", ["1", "2"])
def test_a_second_server_on_the_same_port_is_refused(start, first, second):
    """Whether it would be one process or several; the first answers on."""
    running = start("--listen", "127.0.0.1:0", "--workers", first)
    other = start("--listen", running.address, "--workers", second)
    assert other.popen.wait(60) == 7
    assert other.address is None
    with ImpressionsClient(running.address, timeout_s=10) as client:
        assert client.get(1, at_ms=CUTOVER_MS).profile_id == 1


@pytest.mark.alone
def test_after_sigkill_the_next_start_serves_the_same_generation_without_a_load(start):
    """The pointer is all it needs."""
    first = start("--listen", "127.0.0.1:0")
    first.stop(signal.SIGKILL)
    started_s = time.monotonic()
    second = start("--listen", first.address)
    with ImpressionsClient(second.address, timeout_s=10) as client:
        assert client.get(1, at_ms=CUTOVER_MS).context.generation == "2026-11-15"
    assert time.monotonic() - started_s < 15


def test_settings_that_cannot_work_end_every_worker_and_the_parent_says_so(start, tmp_path):
    """The token file is absent: no crash loop, one clear end."""
    process = start(
        "--workers", "2", "--listen", "127.0.0.1:0", "--set", f"serving.token_file={tmp_path}/no"
    )
    assert process.popen.wait(60) != 0
    assert process.address is None
    assert "serving.token_file" in process.log


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3, 0.6, 1.0, 1.5])
def test_sigterm_at_any_moment_of_the_start_is_exit_0_and_leaves_no_process(host, after_s):
    """Also before a handler is there, and when all processes are stopped at once, as by systemd."""
    process = subprocess.Popen(
        [sys.executable, "-c", _AS_COMMAND, "--set", f"home={host.home}", "serve",
         "--listen", "127.0.0.1:0", "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(after_s)  # the moment of the fault
        family = [process.pid, *descendants(process.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors
    until(lambda: not any(map(alive, family)), "every process to end")


_AS_COMMAND = """
from impressions.process import lifetime
begin = lifetime.begin
lifetime.begin = lambda **service: (begin(**service), print("begun", flush=True))
from impressions.cli.main import main
main()
"""


def descendants(pid):
    children = [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [one for child in children for one in descendants(child)]
