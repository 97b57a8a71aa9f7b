"""A signal always becomes the event."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from impressions.process.stop_signal import stopping_on

_MANY = """
import signal
from impressions.process.stop_signal import stopping_on

for n in range(500):
    with stopping_on(signal.SIGALRM) as stopping:
        signal.setitimer(signal.ITIMER_REAL, 3e-4 + n * 1e-6)
        while not stopping.is_set():
            stopping.wait(1e-7)  # entered and left all the time: its lock is mostly held
print("every one")
"""

_ASLEEP = """
import ctypes, signal, threading
from impressions.process.stop_signal import END, stopping_on

def signalled_here():
    "The kernel gives this thread the signal, and nobody wakes the main one."
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_ulong
    libc.pthread_kill(ctypes.c_ulong(libc.pthread_self()), signal.SIGTERM)

with stopping_on(*END) as stopping:
    threading.Timer(0.2, signalled_here).start()
    stopping.wait()
print("awake")
"""


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


def test_a_signal_in_the_middle_of_a_wait_does_not_wait_for_itself() -> None:
    """An event set by a handler stands still within the first few hundred."""
    assert run(_MANY) == "every one"


def test_a_signal_that_another_thread_is_given_wakes_a_wait_without_end() -> None:
    assert run(_ASLEEP) == "awake"


def test_what_was_before_is_there_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    said = threading.Event()
    with stopping_on(signal.SIGTERM, said=said.set) as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wait(10)
        assert said.is_set()
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1
