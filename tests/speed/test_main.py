"""What a worker has done before it joins its group."""

from types import SimpleNamespace

from impressions.compiled import blocks, flushes
from impressions.kafka import topics
from impressions.settings.model import Settings
from impressions.terminal import log
from speed import main


def test_everything_is_loaded_before_a_worker_joins(monkeypatch):
    """Compiling for the first time takes half a minute, in which a member would be given up."""
    monkeypatch.setattr(topics, "check", lambda settings: None)
    monkeypatch.setattr(log, "configure", lambda: None)
    monkeypatch.setattr(main, "gc", SimpleNamespace(freeze=lambda: None, set_threshold=int))
    parts, loaded = (flushes.reader, blocks.kernels), []
    for part in parts:
        part.cache_clear()

    def joining(work):
        loaded.extend(part.cache_info().currsize for part in parts)
        work.close()

    monkeypatch.setattr(main.asyncio, "run", joining)
    main.command(settings=Settings())
    assert loaded == [1, 1]
