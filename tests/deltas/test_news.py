"""Readers are told of every write at once, and a follower waits for none of them."""

from __future__ import annotations

import contextlib
import os
from contextlib import closing
from pathlib import Path

from impressions.deltas.news import News, tell_all

FOR_EVER_S = 600.0


def test_who_waits_is_told(tmp_path: Path) -> None:
    with closing(News(tmp_path / "1-0")) as one, closing(News(tmp_path / "1-1")) as other:
        assert tell_all(tmp_path) == 2
        assert one.wait(FOR_EVER_S)
        assert other.wait(FOR_EVER_S)


def test_what_was_told_often_is_news_once(tmp_path: Path) -> None:
    with closing(News(tmp_path / "1-0")) as news:
        for _ in range(3):
            tell_all(tmp_path)
        assert news.wait(FOR_EVER_S)
        assert not news.wait(0)


def test_a_reader_that_does_not_read_stops_nobody(tmp_path: Path) -> None:
    """Its pipe is full by then; the news in it still are some."""
    with closing(News(tmp_path / "1-0")) as news:
        pipe = os.open(tmp_path / "1-0", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(pipe, bytes(4_096))
        os.close(pipe)
        assert tell_all(tmp_path) == 1
        assert news.wait(FOR_EVER_S)


def test_the_pipe_of_a_reader_that_was_killed_is_removed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "9-0")
    with closing(News(tmp_path / "1-0")):
        assert tell_all(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_reader_there_is_nobody_to_tell(tmp_path: Path) -> None:
    assert tell_all(tmp_path / "absent") == 0
