"""One profile that is asked all the time, one that is enormous: the others hardly notice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from impressions.core.errors import NotReady
from serving.concurrency import ConcurrencyLimit
from serving.deadline import Deadline
from serving.large_answers import LARGE_ENTRIES
from tests.faults.flood import Sent
from tests.faults.served import (
    ATTEMPTS,
    OK,
    USUAL,
    block_of_titles,
    closed,
    host_with,
    needs_two_cores,
    opened,
    request,
    server_of,
)
from tests.faults.size import scaled
from tests.serving.support import until

pytestmark = needs_two_cores

SECONDS = scaled(1, 10)
ALIVE = {"time_remaining": lambda: None, "is_active": lambda: True}
LARGE, LARGE_TITLES = 1_000, scaled(50_000, 100_000)
SLOWER, MORE_MS = 3, scaled(2_000, 100)
"""The bound: the others' p99 is at most three times what it is alone, and 100 ms."""


@dataclass(frozen=True)
class Usual:
    """A server, a third of what it can do, and how it answers that when nothing else is asked."""

    address: str
    per_s: float
    alone: Sent


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    home = tmp_path_factory.mktemp("neighbours")
    settings = host_with(home, {LARGE: block_of_titles(LARGE_TITLES, 2)})
    with server_of(settings, home) as process:
        closed(process.address, 0.5)
        per_s = closed(process.address, 1.0, requests=USUAL[1:]).count(OK) / 3
        alone = opened(process.address, SECONDS, per_s, requests=USUAL[1:])
        yield Usual(process.address, per_s, alone)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("name", "asked", "callers"),
    [("hot", USUAL[0], 2), ("large", request(LARGE, 0), 1), ("large", request(LARGE, 0), 8)],
    ids=["hot", "large", "large-by-eight"],
)
def test_the_others_are_answered_within_the_bound(usual, name, asked, callers):
    """Callers without a pause ask for the one; a third of the peak rate asks for the others."""
    bound_ms = SLOWER * usual.alone.percentile_ms(OK, 99) + MORE_MS
    for _ in range(ATTEMPTS):
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(closed, usual.address, SECONDS + 1.0, callers, [asked])
            beside = opened(usual.address, SECONDS, usual.per_s, requests=USUAL[1:])
        one = future.result()
        print(
            f"\n{name} by {callers}: {one.count(OK) / (SECONDS + 1):.0f}/s p50"
            f" {one.percentile_ms(OK, 50):.0f} ms; the others at {usual.per_s:.0f}/s:"
            f" alone {shown(usual.alone)}, beside it {shown(beside)}"
        )
        assert one.count(OK) > 0, "the one was answered beside the others"
        if beside.percentile_ms(OK, 99) <= bound_ms:
            return
    pytest.fail(f"the others: {shown(beside)}, expected a p99 of {bound_ms:.0f} ms")


def test_large_answers_are_computed_one_at_a_time_and_hold_no_permit_while_they_wait():
    """Two permits. One large answer is computed, seven more wait; a small one gets a permit at
    once; the ninth large one is refused."""
    limit = ConcurrencyLimit(2)
    deadline = Deadline(SimpleNamespace(**ALIVE))
    done, computing, most = threading.Event(), [], []

    def large() -> None:
        with limit.permit(deadline) as permit, permit.computing(LARGE_ENTRIES + 1):
            computing.append(1)
            most.append(len(computing))
            assert done.wait(30)
            computing.pop()

    threads = [threading.Thread(target=large) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: limit.large_answers.held == 8, "one is computed, seven wait")
    with limit.permit(deadline) as permit, permit.computing(LARGE_ENTRIES):
        assert len(computing) == 1
    with pytest.raises(NotReady, match="8 answers of more than") as caught:
        large()
    assert caught.value.reason == "overloaded"
    done.set()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    with limit.permit(deadline), limit.permit(deadline):
        assert limit.large_answers.held == 0, "both permits are free again"


def shown(sent: Sent) -> str:
    p50_ms, p99_ms = (sent.percentile_ms(OK, percent) for percent in (50, 99))
    refused = sum(map(len, sent.took_ms.values())) - sent.count(OK)
    return f"p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, {refused} not answered"
