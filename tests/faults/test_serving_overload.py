"""Four times what a server can do: it keeps doing it, refuses the rest, and is well afterwards."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.flood import Sent
from tests.faults.served import (
    ATTEMPTS,
    EXHAUSTED,
    OK,
    HealthWatch,
    closed,
    host_with,
    needs_two_cores,
    opened,
    rss_mb,
    server_of,
)
from tests.faults.size import scaled

pytestmark = [needs_two_cores, pytest.mark.slow, pytest.mark.alone]

SECONDS = scaled(3, 30)
KEPT = scaled(50, 80) / 100
CANCELLED, DEADLINE = 1, 4
ENDS = {OK, EXHAUSTED, CANCELLED, DEADLINE}
"""gRPC's own queue is short: in a flood it cancels what does not fit in it."""
IN_TIME_MS = 500
"""What is answered later is of no use to a page."""
GROWTH_MB = 150
P99_MS = 10
SHARES_OF_PEAK = (0.7, 0.6, 0.5, 0.4)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("overload")
    with server_of(host_with(home), home) as process:
        closed(process.address, 1.0)
        yield process


def test_four_times_the_sustainable_rate_costs_little_of_what_is_answered(server):
    """As many calls as before are answered in time. The others are cancelled by gRPC, or end with
    RESOURCE_EXHAUSTED; health stays green, memory stays."""
    before_mb = rss_mb(server.popen.pid)
    for _ in range(ATTEMPTS):
        peak = closed(server.address, 1.0).count(OK)
        sustainable, calm = sustainable_rate(server.address, peak)
        sent, checks = flooded(server.address, 4 * sustainable)
        recovered_s = seconds_until_calm(server.address, sustainable, calm.percentile_ms(OK, 50))
        in_time = sum(ms < IN_TIME_MS for ms in sent.took_ms.get(OK, ()))
        kept, after_mb = in_time / SECONDS / sustainable, rss_mb(server.popen.pid)
        print(
            f"\npeak {peak}/s; sustainable {sustainable:.0f}/s, p99"
            f" {calm.percentile_ms(OK, 99):.0f} ms; at 4x for {SECONDS} s kept {kept:.0%},"
            f" p50 {sent.percentile_ms(OK, 50):.0f} ms, p99 {sent.percentile_ms(OK, 99):.0f} ms;"
            f" refused {sent.count(EXHAUSTED)}, p50 {sent.percentile_ms(EXHAUSTED, 50):.0f} ms,"
            f" p99 {sent.percentile_ms(EXHAUSTED, 99):.0f} ms, cancelled {sent.count(CANCELLED)};"
            f" RSS {before_mb:.0f} to {after_mb:.0f} MB; calm after {recovered_s:.1f} s;"
            f" sender at most {sent.late_ms:.0f} ms late"
        )
        assert {code for code, taken in sent.took_ms.items() if taken} <= ENDS
        assert checks > 0, "health was asked, and was green"
        assert after_mb < before_mb + GROWTH_MB
        turned_away = sent.count(EXHAUSTED) + sent.count(CANCELLED)
        if turned_away and kept >= KEPT and recovered_s < 5:
            return
    result = f"turned away {turned_away}, kept {kept:.0%}, calm after {recovered_s:.1f} s"
    pytest.fail(f"{result}; expected {KEPT:.0%} kept, calm within 5 s")


def flooded(address: str, per_s: float) -> tuple[Sent, int]:
    """What came of the flood, and how often health was green in the midst of it."""
    with HealthWatch(address) as health, ThreadPoolExecutor(1) as pool:
        flood, checks = pool.submit(opened, address, SECONDS, per_s), 0
        while not flood.done():
            assert health.is_green()
            checks += 1
            threading.Event().wait(0.1)
        return flood.result(), checks


def sustainable_rate(address: str, peak_per_s: float) -> tuple[float, Sent]:
    """The largest of some shares of the peak at which the 99th percentile is within bounds, or the
    smallest of them."""
    for share in SHARES_OF_PEAK:
        sent = opened(address, 1.5, share * peak_per_s)
        if not sent.count(EXHAUSTED) and sent.percentile_ms(OK, 99) <= P99_MS:
            break
    return share * peak_per_s, sent


def seconds_until_calm(address: str, per_s: float, usual_p50_ms: float) -> float:
    """How long until half a second at the sustainable rate is answered as it usually is."""
    started_s = time.monotonic()
    while time.monotonic() - started_s < 5:
        sent, took_s = opened(address, 0.5, per_s), time.monotonic() - started_s
        if sent.count(OK) and sent.percentile_ms(OK, 50) < 3 * usual_p50_ms + 10:
            return took_s
    return time.monotonic() - started_s
