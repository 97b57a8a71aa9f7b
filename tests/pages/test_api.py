"""The examples of docs/api.md run as they stand, on a real server and a real broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker import read_topic, stream_settings
from tests.pages.blocks import blocks
from tests.serving.support import install, serving, settings_in

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
CLIENT, PRODUCER = (block.text for block in blocks(PAGE) if block.kind == "python")


def test_the_client_example_runs(tmp_path, capsys):
    """Only the address is another one."""
    settings = settings_in(tmp_path)
    install(settings)
    with serving(settings) as server:
        exec(CLIENT.replace("127.0.0.1:50051", server.address), {})
    assert len(capsys.readouterr().out.splitlines()) >= 3


@pytest.mark.kafka
def test_the_producer_example_runs(tmp_path, broker, capsys):
    """Only address, topic and partitions are others; the topic holds what was sent."""
    settings = stream_settings(tmp_path, broker)
    kafka = {"bootstrap": settings.kafka.bootstrap, "topic": settings.kafka.topic}
    text = PRODUCER.replace('{"bootstrap": "127.0.0.1:9092"}', repr(kafka)).replace(
        "partitions=8", f"partitions={settings.partitions}"
    )
    exec(text, {})
    assert "delivered=2" in capsys.readouterr().out
    assert sum(map(len, read_topic(settings, settings.kafka.topic).values())) >= 1


def test_every_public_name_of_the_page_is_there():
    """The names of both tables."""
    from impressions import client, producer

    page = PAGE.read_text()
    for module in (client, producer):
        assert [name for name in module.__all__ if f"`{name}" not in page] == []
