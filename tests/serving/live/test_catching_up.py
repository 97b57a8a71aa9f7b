"""How a server catches up with the copy: told of news, or looking; and with another copy."""

from impressions.deltas.news import tell_all
from impressions.deltas.store import news_dir, open_primary, open_secondary, store_dir
from serving import live_deltas
from tests.serving.live.written_copy import THROUGH_MS, Copy, comes, reasons_of
from tests.serving.support import client_of, install, serving, settings_in, until


def test_what_the_follower_tells_of_is_seen_without_waiting(tmp_path, clock):
    """A server that would look again in an hour only."""
    settings = settings_in(tmp_path, deltas="on", catch_up_s=3_600)
    held = Copy(settings)
    held.state()
    with serving(settings, clock=clock) as running, client_of(running) as client:
        assert client.get(1, at_ms=THROUGH_MS).context.stream_through_ms == THROUGH_MS
        held.state(through_ms=THROUGH_MS + 1)
        assert tell_all(news_dir(settings)) == 1
        until(
            lambda: client.get(1, at_ms=THROUGH_MS).context.stream_through_ms == THROUGH_MS + 1,
            "the state that was told of",
        )
    held.store.close()


def test_without_a_copy_the_answer_is_flagged_until_there_is_one(settings, client, server):
    """The follower has never run; then it makes the store, and the server opens it."""
    install(settings)
    until(lambda: server.generations.current, "the generation")
    assert reasons_of(client) == ("deltas_missing",)
    assert client.get(1, at_ms=THROUGH_MS).context.stream_through_ms is None
    copy = Copy(settings)
    copy.state()
    comes(client, [])
    copy.store.close()


def test_a_copy_that_was_made_again_is_followed(settings, copy, client):
    """Another store under the same name, as after the first was deleted."""
    install(settings)
    copy.state()
    comes(client, [])
    copy.store.close()
    store_dir(settings).rename(settings.deltas_dir / "old")
    copy.store = open_primary(store_dir(settings))
    comes(client, ["deltas_missing"])
    copy.state()
    comes(client, [])


def test_what_a_follower_wrote_before_its_restart_is_seen_after_it(settings):
    """A RocksDB secondary can show the log of the former process (facebook/rocksdb#14444)."""
    copy = Copy(settings)
    copy.state(through_ms=THROUGH_MS)
    deltas = live_deltas.LiveDeltas(settings)
    deltas.refresh()
    copy.state(through_ms=THROUGH_MS + 1)
    copy.store.close()
    copy.store = open_primary(store_dir(settings))
    copy.state(shards=[1], through_ms=THROUGH_MS + 2)
    deltas.refresh()
    assert [deltas.state(shard).through_ms - THROUGH_MS for shard in (0, 1)] == [1, 2]
    deltas.stop()
    copy.store.close()


def test_a_copy_that_shows_nothing_new_is_opened_again(settings, monkeypatch):
    """A secondary may stop at the end of a log in mid-write, without an error."""
    monkeypatch.setattr(live_deltas, "UNCHANGED_S", 0.2)
    opened = []

    def open_stuck(*where):
        store = open_secondary(*where)
        if not opened:
            store.catch_up = lambda: None
        opened.append(store)
        return store

    monkeypatch.setattr(live_deltas, "open_secondary", open_stuck)
    copy = Copy(settings)
    copy.state(through_ms=THROUGH_MS)
    deltas = live_deltas.LiveDeltas(settings)
    deltas.start()
    try:
        copy.state(through_ms=THROUGH_MS + 1)
        until(lambda: deltas.state(0).through_ms == THROUGH_MS + 1, "the newer state")
    finally:
        deltas.stop()
        copy.store.close()
    assert len(opened) >= 2
