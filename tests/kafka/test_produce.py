"""`impressions produce`: what a file's rows become on the topic, against the oracle's reader."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import typer

from batch.mapping.grammar import read_mapping
from batch.replay.flushes import arrange
from batch.replay.pace import due_s
from batch.replay.produce import command
from impressions.core.errors import MappingError, UsageError
from impressions.core.spec import Spec
from impressions.kafka import decoded_batch
from impressions.settings.model import Settings
from oracle import files as naive_files
from tests.broker import TestBroker, read_topic, stream_settings

START_MS = 1_767_225_600_000
COLUMNS = {
    "profile_id": "user", "title_id": "video", "event_time": "seen:ms", "ingest_time": "arrived:ms",
    "log_id": "batch", "location": "tab", "played": "opened", "dwell_s": "watched:ms",
}  # fmt: skip
WITHOUT_INGEST = {name: text for name, text in COLUMNS.items() if name != "ingest_time"}


def rows(seed: int, n: int = 400) -> list[dict[str, Any]]:
    """Logs of one to three rows, some stored again with the same or a later stamp, shuffled."""
    pick = random.Random(seed)
    made: list[dict[str, Any]] = []
    for log in range(n):
        arrived = START_MS + pick.randrange(10**6)
        shown = [
            {
                "user": log % 40, "video": pick.randrange(2**55), "seen": arrived - i,
                "arrived": arrived, "batch": log // 40 + 1, "tab": pick.randrange(256),
                "opened": pick.randrange(2), "watched": pick.randrange(10_000),
            }
            for i in range(pick.randrange(1, 4))
        ]  # fmt: skip
        made += shown * pick.choice([1, 1, 2, 3])
        if pick.random() < 0.2:
            made += [{**e, "arrived": arrived + 5_000} for e in shown]
    pick.shuffle(made)
    return made


def write(path: Path, content: list[dict[str, Any]]) -> str:
    table = pa.Table.from_pylist(content)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return str(path)


def produce(
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    path: str,
    columns: dict[str, str],
    **options: Any,
) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "mapping": None, "rate": None, "replay_speed": None, "shift_to_now": False,
        "new_log_ids": False, "json": True, "dry_run": False,
        "ingest_time": None if "ingest_time" in columns else "event",
    }  # fmt: skip
    pairs = [f"{target}={text}" for target, text in columns.items()]
    command(settings=settings, from_=[path], map_=pairs, **{**defaults, **options})
    return dict(json.loads(capsys.readouterr().out))


def sent(settings: Settings) -> list[tuple[int, int, list[dict[str, Any]]]]:
    """(profile, log_id, impressions) of every log on the topic, in the order of its partition."""
    found = []
    for partition, messages in read_topic(settings, settings.kafka.topic).items():
        batch = decoded_batch.decode(
            [m.value() for m in messages],
            np.array([m.timestamp()[1] for m in messages], np.int64),
            partition,
            settings.partitions,
            settings.spec,
        )
        assert not np.isin(batch.reason, [decoded_batch.Reason.WRONG_PARTITION]).any()
        columns = (batch.title_id, batch.location, batch.event_ms, batch.played, batch.dwell_s)
        names = ("title", "location", "event_ms", "played", "dwell_s")
        shown = [
            dict(zip(names, values, strict=True))
            for values in zip(*(c.tolist() for c in columns), strict=True)
        ]
        for log in range(len(batch.log_id)):
            mine = [shown[i] for i in np.flatnonzero(batch.flush == log)]
            found.append((int(batch.profile_id[log]), int(batch.log_id[log]), mine))
    return found


def shape(logs: list[Any]) -> Counter[Any]:
    """How often each log was sent: profile and content; its id as how often that id was sent."""
    times = Counter((log[0], log[1]) for log in logs)
    return Counter(
        (log[0], times[log[0], log[1]], tuple(sorted(tuple(sorted(e.items())) for e in log[-1])))
        for log in logs
    )


@pytest.mark.kafka
@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("columns", [COLUMNS, WITHOUT_INGEST], ids=["ingest", "event"])
def test_the_topic_holds_the_flushes_of_the_file(
    tmp_path: Path,
    broker: TestBroker,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
    columns: dict[str, str],
) -> None:
    """Rows grouped, copies sent again with the same id, whatever the format."""
    settings = stream_settings(tmp_path, broker)
    made = rows(1)
    report = produce(settings, capsys, write(tmp_path / f"e.{suffix}", made), columns)
    expected = naive_files.logs_of(made, columns)
    found = sent(settings)
    assert shape(found) == shape(expected)
    assert max(Counter((log[0], log[1]) for log in found).values()) > 1
    assert (report["read"], report["impressions"]) == (len(made), len(made))
    assert (report["logs"], report["not_delivered"]) == (len(expected), 0)


@pytest.mark.kafka
def test_flushes_stand_in_the_order_of_arrival(
    tmp_path: Path, broker: TestBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """By ingest time, then by their first row in the file; so within each partition."""
    settings = stream_settings(tmp_path, broker, partitions=1)
    made = rows(2)
    produce(settings, capsys, write(tmp_path / "e.parquet", made), COLUMNS)
    expected = [(log[0], log[1], log[-1]) for log in naive_files.logs_of(made, COLUMNS)]
    assert sent(settings) == expected


@pytest.mark.kafka
def test_without_log_ids_a_file_has_the_same_ids_each_time(
    tmp_path: Path, broker: TestBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each row its own log, so equal rows count; sent twice, each id comes twice, unless new."""
    settings = stream_settings(tmp_path, broker)
    made = rows(3, n=50)
    columns = {name: text for name, text in COLUMNS.items() if name != "log_id"}
    path = write(tmp_path / "e.parquet", made)
    produce(settings, capsys, path, columns)
    produce(settings, capsys, path, columns)
    assert set(Counter(log[1] for log in sent(settings)).values()) == {2}
    produce(settings, capsys, path, columns, new_log_ids=True)
    assert Counter(Counter(log[1] for log in sent(settings)).values()) == {
        2: len(made),
        1: len(made),
    }


@pytest.mark.kafka
def test_rows_that_cannot_be_sent_are_counted_and_bad_ones_are_sent(
    tmp_path: Path, broker: TestBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Absent ids stay here with their reason; the readers judge what is only wrong."""
    settings = stream_settings(tmp_path, broker)
    now_ms = int(time.time() * 1000)
    good = {"user": "1", "video": "2", "seen": str(now_ms), "batch": "3", "tab": "4"}
    made = [
        {**good, **change}
        for change in (
            {}, {"user": None}, {"video": None}, {"seen": "soon"}, {"batch": None}, {"user": "-1"},
            {"video": "two", "batch": "5"}, {"tab": "-7", "batch": "6"},
        )
    ]  # fmt: skip
    columns = {
        "profile_id": "user", "title_id": "video", "event_time": "seen:ms", "log_id": "batch",
        "location": "tab",
    }  # fmt: skip
    report = produce(settings, capsys, write(tmp_path / "e.csv", made), columns)
    assert report["left_out"] == {
        "missing_profile": 1, "missing_title": 1, "bad_event_time": 1, "missing_log_id": 1,
        "bad_profile": 1,
    }  # fmt: skip
    assert (report["read"], report["impressions"]) == (8, 3)
    titles = sorted((e["title"], e["location"]) for _, _, shown in sent(settings) for e in shown)
    assert titles == [(-1, 4), (2, 4), (2, 2**32 - 1)]


@pytest.mark.kafka
def test_old_events_are_announced_and_can_be_moved_to_now(
    tmp_path: Path, broker: TestBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of 2020 would be rejected; shifted, its newest event is now and distances stay."""
    settings = stream_settings(tmp_path, broker)
    old = [{"user": 1, "video": i, "seen": 1_577_836_800_000 + i * 1000} for i in range(3)]
    columns = {"profile_id": "user", "title_id": "video", "event_time": "seen:ms"}
    path = write(tmp_path / "e.parquet", old)
    command(
        settings=settings, from_=[path], map_=[f"{k}={v}" for k, v in columns.items()],
        mapping=None, ingest_time="event", rate=None, replay_speed=None, shift_to_now=False,
        new_log_ids=False, json=False, dry_run=True,
    )  # fmt: skip
    printed = capsys.readouterr()
    assert "reject 3 of 3 impressions: 3 out_of_window" in printed.err
    assert "--shift-to-now" in printed.err
    assert "would send 3 impressions" in printed.out
    produce(settings, capsys, path, columns, shift_to_now=True)
    times = sorted(e["event_ms"] for _, _, shown in sent(settings) for e in shown)
    assert np.diff(times).tolist() == [1000, 1000]
    assert abs(times[-1] / 1000 - time.time()) < 30


@pytest.mark.kafka
def test_what_is_not_delivered_is_the_exit_code(
    tmp_path: Path, broker: TestBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here a topic that takes no record of this size."""
    from impressions.kafka.admin import connect

    settings = stream_settings(tmp_path, broker)
    with connect(settings) as admin:
        admin.alter(settings.kafka.topic, {"max.message.bytes": "100"})
    with pytest.raises(typer.Exit) as caught:
        produce(settings, capsys, write(tmp_path / "e.parquet", rows(4, n=20)), COLUMNS)
    assert caught.value.exit_code == 8
    report = json.loads(capsys.readouterr().out)
    assert report["not_delivered"] == report["logs"] > 0
    assert any("large" in text for text in report["errors"])


@pytest.mark.kafka
def test_a_rate_is_kept(
    tmp_path: Path, broker: TestBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Impressions per second, within what a busy machine allows."""
    settings = stream_settings(tmp_path, broker)
    path = write(tmp_path / "e.parquet", rows(5, n=20))
    report = produce(settings, capsys, path, WITHOUT_INGEST, rate=100)
    assert report["seconds"] >= (report["impressions"] - 1) / 100


def test_when_each_flush_is_due() -> None:
    """By rate: evenly; by speed: as far apart as they arrived, divided; never by both."""
    from batch.replay.events import Events

    n = 3
    zeros, texts = np.zeros(n, np.int64), np.full(n, "", np.object_)
    arrived = np.array([START_MS, START_MS + 1_000, START_MS + 1_000])
    events = Events(
        zeros, np.arange(n), zeros, zeros - 1, zeros - 1, arrived, arrived,
        zeros.astype(bool), np.zeros(n), np.array([1, 2, 2]), texts, texts,
    )  # fmt: skip
    logs = arrange(events, ingest_is_event=False, identified=True)
    assert logs.starts.tolist() == [0, 1, 3]
    assert due_s(logs, 10, None).tolist() == [0, 0.1]
    assert due_s(logs, None, 4).tolist() == [0, 0.25]
    assert due_s(logs, None, None).tolist() == [0, 0]
    with pytest.raises(UsageError, match="one of the two"):
        due_s(logs, 1, 1)


def test_the_mapping_is_the_imports(tmp_path: Path) -> None:
    """Same grammar, same refusals."""
    from batch.replay.events import read_events

    path = write(tmp_path / "e.jsonl", rows(1, n=2))
    mapping = read_mapping([f"{k}={v}" for k, v in {**COLUMNS, "title_id": "vidoe"}.items()])
    with pytest.raises(MappingError, match="no column 'vidoe'") as caught:
        read_events([path], mapping, Spec(), START_MS)
    assert "video" in (caught.value.hint or "")


def test_what_cannot_be_sent_is_counted_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    """Broken lines, text that is no time, log ids the wire has no place for; copies once."""
    from batch.replay.events import read_events

    head = "user,video,seen,batch,note\n"
    good = f"1,2,{START_MS},3,"
    content = (
        head + f'{good}"a\nb"\n{good}x,y\n1,2,soon,3,\n1,2,{START_MS},0,\n1,2,{START_MS},-4,\n'
    )
    (tmp_path / "a.csv").write_text(content + f"1,two,{START_MS},3,\n,2,{START_MS},3,\n")
    (tmp_path / "b.csv").write_bytes((tmp_path / "a.csv").read_bytes())
    (tmp_path / "c.json").write_text("[]")
    pairs = ["profile_id=user", "title_id=video", "event_time=seen:ms", "log_id=batch"]
    mapping = read_mapping(pairs, None, "event")
    events, left_out, notes = read_events([str(tmp_path)], mapping, Spec(), START_MS)
    assert events.title_id.tolist() == [2, -1]
    assert left_out == {
        "undecodable": 1, "bad_event_time": 1, "missing_log_id": 2, "missing_profile": 1,
    }  # fmt: skip
    assert [note.partition(": ")[0] for note in notes] == ["left out", str(tmp_path / "b.csv")]
    empty, _, _ = read_events([str(write_header(tmp_path))], mapping, Spec(), START_MS)
    assert len(arrange(empty, ingest_is_event=True, identified=True)) == 0


def write_header(tmp_path: Path) -> Path:
    path = tmp_path / "none" / "e.csv"
    path.parent.mkdir()
    path.write_text("user,video,seen,batch\n")
    return path


def test_without_log_ids_a_row_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    """Broken rows count as places, so an id is that of the same line whatever is mapped."""
    from batch.replay.events import read_events
    from impressions.core.ids import LOG_BITS, hash_id

    (tmp_path / "e.csv").write_text(f"user,video,seen\n1,2\n1,2,{START_MS}\n")
    mapping = read_mapping(
        ["profile_id=user", "title_id=video", "event_time=seen:ms"], None, "event"
    )
    events, left_out, _ = read_events([str(tmp_path)], mapping, Spec(), START_MS)
    digest = hashlib.sha256((tmp_path / "e.csv").read_bytes()).hexdigest()[:16]
    assert events.log_id.tolist() == [hash_id(f"file:{digest}:1", LOG_BITS)]
    assert left_out == {"undecodable": 1}
