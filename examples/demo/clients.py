"""Clients of a server, and what they see of it while traffic flows.

reading        a reader that asks all the time, and fails the block if one answer fails
delays_of      how long an impression takes into an answer
same_answers   two servers, profile by profile
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from examples.demo.check import ask, wait
from examples.demo.traffic import Traffic
from impressions.client import ImpressionsClient
from impressions.clock import now_ms
from impressions.kafka.record_packing import Impression, Log
from tests.compare import differences
from tests.tolerance import FLOAT32_STORED

DELAY_EVERY_S = 0.025


@contextmanager
def reading(address: str, profiles: list[int]) -> Iterator[list[int]]:
    """Reads all the time, from a thread; a read that fails fails the block."""
    answered: list[int] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        with ImpressionsClient(address, timeout_s=30) as client:
            while not stop.wait(0.01):
                try:
                    some = profiles[len(answered) % len(profiles)]
                    ask(client, [some], now_ms())
                    answered.append(some)
                except BaseException as error:
                    failures.append(error)
                    return

    thread = threading.Thread(target=read, name="reader")
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


def same_answers(
    first: ImpressionsClient, second: ImpressionsClient, profiles: list[int], query_ms: int
) -> tuple[list[str], int]:
    """Compare two servers profile by profile, and count the answers.

    The first is asked before and after the second; where its own answer changed in between, an
    event came, and the profile is asked again.
    """
    differ: list[str] = []
    compared = 0
    for profile in profiles[:: max(1, len(profiles) // 500)]:
        found = [f"profile {profile}: never the same for as long as three reads take"]
        for _ in range(50):
            before = ask(first, [profile], query_ms)
            other = ask(second, [profile], query_ms)
            if before == ask(first, [profile], query_ms):
                found = differences(other, before, FLOAT32_STORED)
                if not found:
                    compared += len(before)
                    break
        else:
            differ += [f"two hosts: {line}" for line in found]
    return differ, compared


def delays_of(
    client: ImpressionsClient, traffic: Traffic, profile: int, impressions: int
) -> list[float]:
    """Milliseconds from sending an impression to the first answer that counts it, for each.

    Each is of a title of its own of a profile that has none yet and is asked for all the time.
    """
    sent_s: dict[int, float] = {}
    delays_ms: dict[int, float] = {}
    began_s = time.monotonic()

    def all_seen() -> bool:
        title = len(sent_s) + 1
        if title <= impressions and time.monotonic() >= began_s + title * DELAY_EVERY_S:
            sent_s[title] = time.monotonic()
            event = Impression(title_id=title, event_time_ms=now_ms(), dwell_s=1.0)
            traffic.send_one(Log(profile, title, [event]))
        (result,) = client.get_many([profile])
        at_s = time.monotonic()
        for seen in set(result.title_ids.tolist()) - delays_ms.keys():  # type: ignore[union-attr]
            delays_ms[seen] = (at_s - sent_s[seen]) * 1000
        return len(delays_ms) == impressions

    wait(all_seen, "the impressions to be in the answer")
    return list(delays_ms.values())
