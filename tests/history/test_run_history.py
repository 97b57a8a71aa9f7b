"""The history of runs: order, the last success, what is deleted and what is damaged."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from impressions.history.durations import usual_s
from impressions.history.run_history import RunHistory
from impressions.history.run_record import MAX_BYTES
from tests.history.records import START_MS, record


@pytest.fixture
def history(tmp_path: Path) -> RunHistory:
    return RunHistory(str(tmp_path / "history"), keep=3)


def names(tmp_path: Path, job: str = "close") -> list[str]:
    return sorted(path.name for path in (tmp_path / "history" / job).iterdir())


def test_an_empty_history(history: RunHistory) -> None:
    """Nothing was recorded yet: no runs, no last success, and no error."""
    assert (history.runs(), history.runs("close"), history.last_success("close")) == ((), (), None)


def test_runs_come_newest_first_whoever_wrote_them(history: RunHistory, tmp_path: Path) -> None:
    """By start, of one job or of all; the file says start, id and exit code in its name."""
    other = RunHistory(history.uri)
    history.append(record("close", 1))
    other.append(record("close", 2, exit_code=5))
    history.append(record("land", 1.5))
    assert [run.run_id for run in history.runs("close")] == ["r2000", "r1000"]
    assert [run.run_id for run in history.runs()] == ["r2000", "r1500", "r1000"]
    assert [run.run_id for run in history.runs(newest=1)] == ["r2000"]
    assert names(tmp_path) == [
        "20261115T000001000Z-r1000-0.json", "20261115T000002000Z-r2000-5.json",
    ]  # fmt: skip


def test_the_oldest_go_and_the_last_success_stays(history: RunHistory) -> None:
    """Three are kept, and of older ones the newest that ended well."""
    for at_s, code in enumerate((0, 0, 7, 7, 7, 7)):
        history.append(record("close", at_s, exit_code=code))
    assert [run.run_id for run in history.runs("close")] == ["r5000", "r4000", "r3000", "r1000"]
    last = history.last_success("close")
    assert last is not None
    assert last.run_id == "r1000"


def test_runs_of_a_clock_that_was_ahead_delete_nothing_that_others_write(
    history: RunHistory,
) -> None:
    """Four runs ten years ahead fill the three places; what is written after them stays, up to
    three, and the newest run until now is found."""
    year_s = 365 * 86_400.0
    for i in range(4):
        history.append(record("close", 10 * year_s + i))
    for at_s in range(5):
        history.append(record("close", at_s, exit_code=7))
    until_ms = START_MS + 60_000
    assert [run.run_id for run in history.runs("close", until_ms=until_ms)] == [
        "r4000", "r3000", "r2000",
    ]  # fmt: skip
    assert history.last_success("close", until_ms) is None
    assert history.count_after("close", until_ms) == 3


def test_only_files_of_ours_are_deleted(history: RunHistory, tmp_path: Path) -> None:
    """A note of somebody, an unfinished write and another job's runs are not touched."""
    history.append(record("close", 0))
    history.append(record("land", 0))
    for name in ("notes.json", ".20261114T000000000Z-r1-0.json.7", "20261114T000000000Z-r1.json"):
        (tmp_path / "history" / "close" / name).write_text("mine")
    for at_s in range(1, 5):
        history.append(record("close", at_s))
    assert len(names(tmp_path)) == 3 + 3
    assert names(tmp_path, "land") == ["20261115T000000000Z-r0-0.json"]


def test_a_damaged_file_is_skipped_and_counted(history: RunHistory, tmp_path: Path) -> None:
    """Cut, or far too large: the other runs are there, and the last success is the one before."""
    for at_s in range(3):
        history.append(record("close", at_s))
    folder = tmp_path / "history" / "close"
    (folder / "20261115T000002000Z-r2000-0.json").write_text("{")
    (folder / "20261115T000001000Z-r1000-0.json").write_bytes(b" " * (MAX_BYTES + 1))
    reader = RunHistory(history.uri)
    assert [run.run_id for run in reader.runs("close")] == ["r0"]
    last = reader.last_success("close")
    assert last is not None
    assert last.run_id == "r0"
    assert len(reader.damaged) == 2


def test_a_file_whose_name_says_another_end_is_damaged(history: RunHistory, tmp_path: Path) -> None:
    """A failure called `-0.json` would pass for the last success, which names decide."""
    history.append(record("close", 0, exit_code=7))
    (file,) = (tmp_path / "history" / "close").iterdir()
    file.rename(file.with_name(file.name.replace("-7.json", "-0.json")))
    reader = RunHistory(history.uri)
    assert reader.last_success("close") is None
    assert len(reader.damaged) == 1


def test_writers_at_the_same_moment_do_not_lose_runs(tmp_path: Path) -> None:
    """Eight threads, ten runs each: all eighty are there."""
    uri = str(tmp_path / "history")

    def write(writer: int) -> None:
        for i in range(10):
            RunHistory(uri).append(record("land", i, run_id=f"w{writer}x{i}"))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.run_id for run in RunHistory(uri).runs("land")}) == 80


def test_a_reader_opens_each_file_once(history: RunHistory, tmp_path: Path) -> None:
    """Files never change, so what was read is kept: also when the bytes are gone meanwhile."""
    history.append(record("close", 1))
    before = history.runs("close")
    (tmp_path / "history" / "close" / names(tmp_path)[0]).write_text("{")
    assert history.runs("close") == before


def test_names_that_could_leave_the_directory_are_refused(history: RunHistory) -> None:
    """A job or a run id with a slash is an error of the caller."""
    with pytest.raises(ValueError, match="job"):
        history.append(record("../close"))
    with pytest.raises(ValueError, match="run id"):
        history.append(record(run_id="a/b"))


def test_the_usual_duration_is_the_median_of_eight_that_worked() -> None:
    """Failures and runs with nothing to do say nothing; fewer than three runs neither."""
    took = [9, 1, 2, 3, 4, 5, 6, 7, 100]
    runs = [record(seconds=s, changed=True) for s in took]
    idle = [record(seconds=0.1), record(seconds=0.1, changed=True, exit_code=6)]
    assert usual_s([*idle, *runs]) == 4.5
    assert usual_s(runs[:2]) is None
    assert usual_s([record("check", seconds=s) for s in (1, 2, 3)]) == 2


@pytest.mark.slow
def test_the_same_in_an_object_store() -> None:
    """Against moto's S3: appended, read, cut to what is kept."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import FileSystem

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = f"scheme=http&endpoint_override={host}%3A{port}&region=us-east-1"
        uri = f"s3://a:b@runs/history?{options}&allow_bucket_creation=true"
        files, _ = FileSystem.from_uri(uri)
        files.create_dir("runs")
        for at_s in range(4):
            RunHistory(uri, keep=2).append(record("close", at_s, exit_code=at_s % 2))
        reader = RunHistory(uri)
        assert [run.run_id for run in reader.runs("close")] == ["r3000", "r2000"]
        assert reader.last_success("close") == record("close", 2)
    finally:
        server.stop()
