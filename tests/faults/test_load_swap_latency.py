"""Swaps under a steady load: no failed request, no mixed answer; prints p99 without and with them.

200 reads a second, each at its own moment whether earlier ones were answered or not, while the
pointer moves ten times between two generations.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bulkload.activate import activate
from bulkload.rollback import rollback
from tests.faults.size import scaled
from tests.generations import CUTOVER_MS
from tests.serving.support import WEEK_2_MS, client_of, install, serving, settings_in, until

RATE, SWAPS = 200, 10
SECONDS = scaled(2, 30)
WEEK_1, WEEK_2 = "2026-11-15", "2026-11-22"


class Reader:
    """Sends at a rate; keeps the seconds of every answer and the generations it met."""

    def __init__(self, client):
        self.client, self.lock = client, threading.Lock()
        self.seconds, self.failures, self.met = [], [], set()

    def read(self, due_s, number):
        try:
            results = self.client.get_many([number % 40 + 1, 1], at_ms=WEEK_2_MS)
            names = {result.context.generation for result in results}
            assert len(names) == 1, f"mixed: {names}"
            with self.lock:
                self.met |= names
                self.seconds.append(time.monotonic() - due_s)
        except Exception as error:
            self.failures.append(error)

    def run(self, seconds):
        """An open loop of `seconds`; p99 of its answers."""
        self.seconds, begun_s = [], time.monotonic()
        with ThreadPoolExecutor(32) as pool:
            for number in range(int(RATE * seconds)):
                due_s = begun_s + number / RATE
                time.sleep(max(0.0, due_s - time.monotonic()))
                pool.submit(self.read, due_s, number)
        return sorted(self.seconds)[int(0.99 * len(self.seconds))]


@pytest.mark.slow
@pytest.mark.representative
def test_ten_swaps_under_load_fail_no_request(tmp_path):
    """All rows of an answer are of one generation, and each of the two has answered."""
    settings, swaps = settings_in(tmp_path), 0
    for cutover_ms in (CUTOVER_MS, WEEK_2_MS):
        install(settings, cutover_ms)
    with serving(settings) as server, client_of(server, retries=False) as client:
        reader = Reader(client)
        calm_s = reader.run(SECONDS)
        runner = ThreadPoolExecutor(1)
        loaded = runner.submit(reader.run, SECONDS)
        while not loaded.done() or swaps < SWAPS:
            if swaps < SWAPS:
                back = swaps % 2 == 0
                if back:
                    rollback(settings)
                else:
                    activate(settings, WEEK_2, even_if_rolled_back=True)
                want = WEEK_1 if back else WEEK_2
                until(lambda: server.generations.current.name == want, f"{want} is served")  # noqa: B023
                swaps += 1
            threading.Event().wait(SECONDS / SWAPS / 2)
        swapping_s = loaded.result()
        runner.shutdown()
    answers = len(reader.seconds)
    print(
        f"p99 {calm_s * 1e3:.1f} ms, with {swaps} swaps {swapping_s * 1e3:.1f} ms, {answers} reads"
    )
    assert reader.failures == []
    assert swaps == SWAPS
    assert reader.met == {WEEK_1, WEEK_2}
    assert answers == RATE * SECONDS
