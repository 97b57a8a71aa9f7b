"""A generation changes under load, and callers notice only by the numbers."""

import json
import threading
from collections import Counter

import pytest

from bulkload.activate import activate
from bulkload.load import load
from bulkload.rollback import rollback
from impressions.formats import sealed
from impressions.formats.generation_paths import HostPaths
from impressions.formats.pointer import Pointer
from tests.generations import CUTOVER_MS
from tests.serving.support import (
    EVENTS,
    WEEK_2_MS,
    client_of,
    expected,
    install,
    result_rows,
    serving,
    settings_in,
    until,
)

WEEK_1, WEEK_2 = "2026-11-15", "2026-11-22"
PROFILES = range(1, 41)
EVERYTHING = {"at_ms": WEEK_2_MS, "by_location": True, "totals": True, "last_seen": True}


@pytest.fixture
def two_weeks(tmp_path):
    """A host with both generations, the second active, and what each must answer (integers)."""
    settings = settings_in(tmp_path)
    for cutover_ms in (CUTOVER_MS, WEEK_2_MS):
        install(settings, cutover_ms)
    return settings


def integers(rows: dict) -> dict:
    """The exact columns only: enough to tell two generations apart, compared without tolerance."""
    columns = ("impressions", "plays", "last_seen_ms")
    return {key: tuple(row[c] for c in columns) for key, row in rows.items()}


def truth() -> dict:
    """{generation: {profile: exact rows}}; the weeks differ for most profiles."""
    out = {}
    for name, cutover_ms in ((WEEK_1, CUTOVER_MS), (WEEK_2, WEEK_2_MS)):
        rows = integers(expected(EVENTS, cutover_ms, WEEK_2_MS))
        out[name] = {p: {k: v for k, v in rows.items() if k[0] == p} for p in PROFILES}
    return out


class Load:
    """Threads that ask without pause and check each answer against the generation it names."""

    def __init__(self, client, answers):
        self.client, self.answers = client, answers
        self.asked, self.seen = Counter(), Counter()
        self.failures, self.wrong, self.mixed = [], [], []
        self.stop = threading.Event()
        jobs = [self.one_by_one, self.one_by_one, self.in_batches, self.in_a_stream]
        self.threads = [threading.Thread(target=self.run, args=(job,)) for job in jobs]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def run(self, job):
        while not self.stop.is_set():
            try:
                job()
            except Exception as error:
                self.failures.append(error)

    def one_by_one(self):
        for profile in PROFILES:
            self.check(self.client.get(profile, **EVERYTHING), "get")

    def in_batches(self):
        results = self.client.get_many(PROFILES, **EVERYTHING)
        names = {result.context.generation for result in results}
        if len(names) != 1:
            self.mixed.append(names)
        for result in results:
            self.check(result, "batch")

    def in_a_stream(self):
        for result in self.client.stream(PROFILES, **EVERYTHING):
            self.check(result, "stream")

    def check(self, result, how):
        self.asked[how] += 1
        name = result.context.generation
        self.seen[name] += 1
        if integers(result_rows(result)) != self.answers[name][result.profile_id]:
            self.wrong.append((name, result.profile_id))


def test_twenty_swaps_under_load_without_one_failed_request(two_weeks):
    """Ten rollbacks and ten activations; all rows of an answer are of the generation it names."""
    answers = truth()
    assert sum(answers[WEEK_1][p] != answers[WEEK_2][p] for p in PROFILES) > 5
    retired, swaps = [], 0
    with serving(two_weeks) as server, client_of(server, retries=False) as client:
        with Load(client, answers) as load_:
            for i in range(20):
                before, asked = server.generations.current, sum(load_.asked.values())
                if i % 2 == 0:
                    rollback(two_weeks)
                else:
                    activate(two_weeks, WEEK_2, even_if_rolled_back=True)
                want = WEEK_1 if i % 2 == 0 else WEEK_2
                until(lambda: server.generations.current.name == want, f"{want} is served")  # noqa: B023
                until(lambda: sum(load_.asked.values()) > asked + 20, "requests went on")  # noqa: B023
                retired.append(before)
                swaps += 1
        until(lambda: all(old.closed for old in retired), "old stores are closed")
        assert not server.generations.current.closed
    assert swaps == 20
    assert load_.failures == []
    assert load_.wrong == []
    assert load_.mixed == []
    assert min(load_.seen[WEEK_1], load_.seen[WEEK_2]) > 100
    assert min(load_.asked[how] for how in ("get", "batch", "stream")) > 100


def test_a_request_keeps_its_generation_until_it_ends(two_weeks):
    """The store is closed by the last request that uses it, not by the swap."""
    with serving(two_weeks) as server:
        with server.generations.lease() as leased:
            rollback(two_weeks)
            until(lambda: server.generations.current.name == WEEK_1, "swapped")
            assert leased.name == WEEK_2
            assert leased.block(1) is not None
            assert not leased.closed
        assert leased.closed
        assert not leased.acquire()


def test_a_damaged_pointer_keeps_the_old_generation_and_its_health(two_weeks, caplog):
    paths = HostPaths(two_weeks.host_dir)
    with serving(two_weeks) as server, client_of(server) as client:
        good = paths.current.read_bytes()
        paths.current.write_bytes(good.replace(b"2026", b"2027"))
        until(lambda: "generation-kept" in caplog.text, "the watcher met the damage")
        assert client.get(1, at_ms=WEEK_2_MS).context.generation == WEEK_2
        paths.current.unlink()
        until(lambda: "FileNotFoundError" in caplog.text, "the watcher met its absence")
        assert client.get(1, at_ms=WEEK_2_MS).context.generation == WEEK_2
        assert caplog.text.count("generation-kept") == 2  # once each, not at every look
        activate(two_weeks, WEEK_1, even_if_rolled_back=True)
        until(lambda: server.generations.current.name == WEEK_1, "a good pointer is followed")


def test_a_pointer_to_a_generation_that_is_not_there_keeps_the_old_one(two_weeks, caplog):
    paths = HostPaths(two_weeks.host_dir)
    with serving(two_weeks) as server, client_of(server) as client:
        paths.current.write_bytes(Pointer("2026-11-29", WEEK_2, 0).encode())
        until(lambda: "generation 2026-11-29 is not loaded" in caplog.text, "the watcher met it")
        assert client.get(1, at_ms=WEEK_2_MS).context.generation == WEEK_2
    assert not paths.generation("2026-11-29").exists()


def test_loading_a_generation_again_is_followed_too(two_weeks):
    """The repair of a damaged store: same name, new files."""
    with serving(two_weeks) as server, client_of(server) as client:
        before = server.generations.current
        load(two_weeks, WEEK_2, again=True)
        until(lambda: server.generations.current is not before, "the new load is served")
        assert server.generations.current.name == WEEK_2
        assert client.get(1, at_ms=WEEK_2_MS).context.generation == WEEK_2


def test_a_generation_of_another_spec_is_never_swapped_in(two_weeks, caplog):
    """Its manifest has another fingerprint than this host's settings."""
    paths = HostPaths(two_weeks.host_dir)
    body = json.loads(paths.manifest(WEEK_1).read_bytes())
    body.pop("checksum")
    paths.manifest(WEEK_1).write_bytes(sealed.seal({**body, "spec_fingerprint": "0" * 16}))
    with serving(two_weeks) as server, client_of(server) as client:
        paths.current.write_bytes(Pointer(WEEK_1, None, 0).encode())
        until(lambda: "spec fingerprint 0000000000000000" in caplog.text, "refused")
        assert client.get(1, at_ms=WEEK_2_MS).context.generation == WEEK_2
