"""Status of what is not there, does not answer, or is wrong: each part alone, the rest shown."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from batch.lake.generations import lacking
from batch.lake.slot_states import SlotState
from impressions.cli.main import build_app
from impressions.core.completeness import StreamState
from impressions.core.errors import CorruptData, NotReady, ServiceError
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.process.command import main
from impressions.process.registry import Running
from impressions.settings.model import Settings
from impressions.status.facts import Lake, Listed, Published, Quality, SlotRows
from impressions.status.questions import Absent, Unknown, ask, ask_all
from impressions.status.serving import Copy, Served, Server, reachable
from impressions.status.stage import Found, Stage
from impressions.status.stages import exit_code, stages
from impressions.status.stream import SourcePartition, Stream

NOW = 1_800_000_000_000
SETTINGS = Settings(slot_seconds=20, partitions=2)
SLOT = SETTINGS.spec.slot_ms
NONE = Unknown("not there", "make it", absent=True)
RESTORING = StreamState(None, 0, restoring=True)
PROCESS = Running("follower", 1, None, None, NOW, "1")


def beat(partition: int, offset: int, age_s: float) -> Heartbeat:
    through_ms = NOW - round(age_s * 1000)
    return Heartbeat(
        partition, 2, 1, bytes(16), bytes(16), offset, through_ms, FROM_THE_FIRST_MS, through_ms
    )


def well() -> Found:
    """Two partitions of ten records, all of them everywhere, a second ago."""
    source = {p: SourcePartition(0, 10, NOW - 1000) for p in range(2)}
    beats = {p: beat(p, 9, 1.0) for p in range(2)}
    held = StreamState(NOW - 1500, FROM_THE_FIRST_MS, restoring=False)
    served = Served("2027-01-15", NOW - SLOT, NOW - 1500, True, ())
    return Found(
        at_ms=NOW,
        stream=Stream("host:1", "impressions", "00", source, NOW, beats, None),
        lake=Lake(NOW - 1000, (10, 10), {NOW - 2 * SLOT: SlotRows(5, 0)}, frozenset(), ()),
        published=(),
        host=NONE,
        copy=Copy(NOW, {0: held, 1: held}),
        servers=(Server(1, "127.0.0.1:1", served),),
        processes=(PROCESS,),
    )


def with_beats(*beats: Heartbeat) -> Stream:
    stream = well().stream
    assert isinstance(stream, Stream)
    return dataclasses.replace(stream, beats={b.partition: b for b in beats})


def judged(**changes: Any) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages(dataclasses.replace(well(), **changes), SETTINGS)}


def text_of(stage: Stage) -> str:
    return " ".join([stage.line, *(what for what, _ in stage.problems)])


def test_nothing_there_is_no_fault_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fresh machine: every stage says what would make it; exit 0; no file appears."""
    monkeypatch.chdir(tmp_path)
    assert main(build_app(), ["status", "--json"], prog="impressions") == 0
    status = json.loads(capsys.readouterr().out)
    assert {stage["state"] for stage in status["stages"].values()} == {"none"}
    assert list(status["stages"]) == [
        "topic", "landed", "closed", "quality", "generations", "loaded", "active", "worker",
        "deltas", "serving", "jobs", "reconciled", "disk",
    ]  # fmt: skip
    assert main(build_app(), ["status"], prog="impressions") == 0
    assert "impressions kafka start" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_broker_that_does_not_answer_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that nobody listens on: named with the fix, exit 7, the other stages are there."""
    monkeypatch.chdir(tmp_path)
    argv = ["status", "--json", "--set", "kafka.bootstrap=127.0.0.1:1"]
    assert main(build_app(), argv, prog="impressions") == 7
    found = json.loads(capsys.readouterr().out)["stages"]
    assert (found["topic"]["state"], found["serving"]["state"]) == ("bad", "none")
    assert "kafka.bootstrap" in found["topic"]["problems"][0]["hint"]


@pytest.mark.parametrize(
    ("said", "state", "line"),
    [
        (Quality(NOW, (), (), 2), "ok", "like the days before"),
        (Quality(NOW, ("2027-01-14-aaaaaa all: ...",), ("a drift",), 0), "bad",
         "1 finding to repair or to accept, 1 to know"),
        (Quality(NOW, tuple(map(str, range(9))), (), 0), "bad", "9 findings to repair"),
        (Quality(NOW, (), ("a drift",), 0), "look", "0 findings to repair or to accept, 1 to know"),
    ],
    ids=["none", "one of each", "many", "a drift"],
)  # fmt: skip
def test_findings_that_stand_are_bad(said: Quality, state: str, line: str) -> None:
    """A few in full, the line that helps with those that hold a generation back; what is only to
    know is to be looked at."""
    lake = well().lake
    assert isinstance(lake, Lake)
    stage = judged(lake=dataclasses.replace(lake, quality=said))["quality"]
    assert stage.state == state
    assert line in stage.line
    assert [what for what, _ in stage.problems] == [*said.blocking[:3], *said.named]
    assert all("impressions accept" in (hint or "") for what, hint in stage.problems
               if what in said.blocking)  # fmt: skip
    assert exit_code([stage]) == (7 if said.blocking else 0)


def test_all_is_well() -> None:
    """Ages and counts in words; exit 0."""
    found = judged()
    assert {
        name: stage.state for name, stage in found.items() if stage.state != "ok"
    } == dict.fromkeys(
        ("quality", "generations", "loaded", "active", "jobs", "reconciled", "disk"), "none"
    )
    assert found["topic"].line == "impressions: 2 partitions, 20 records, newest 1.0 s ago"
    assert found["landed"].facts["records_to_land"] == 0
    assert found["worker"].line == "0 records behind, complete through 1.0 s ago in every partition"
    assert exit_code(found.values()) == 0


@pytest.mark.parametrize(
    ("stage", "changes", "says", "code"),
    [
        ("topic", {"stream": Unknown("no answer")}, "no answer", 7),
        (
            "worker",
            {"stream": with_beats(beat(0, 9, 1), beat(1, 4, 90))},
            "partition 1: more than 15.0 s behind",
            7,
        ),
        (
            "worker",
            {"stream": with_beats(beat(0, 9, 1))},
            "no word of partition 1",
            7,
        ),
        (
            "landed",
            {"stream": dataclasses.replace(
                well().stream, partitions={p: SourcePartition(12, 20, NOW) for p in range(2)}
            )},
            "4 records went from the topic before they were landed",
            7,
        ),
        ("deltas", {"copy": Copy(NOW, {0: None, 1: RESTORING})}, "nothing known", 7),
        (
            "serving",
            {"servers": (Server(1, "a:1", Served("", None, None, False, ("restoring",))),)},
            "a:1: answers are incomplete: restoring",
            8,
        ),
        ("serving", {"servers": (Server(1, "a:1", Unknown("refused")),)}, "a:1: refused", 8),
        ("loaded", {"host": Unknown("CURRENT is broken", damaged=True)}, "CURRENT is broken", 4),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_decides_the_exit_code(
    stage: str, changes: dict[str, Any], says: str, code: int
) -> None:
    found = judged(**changes)
    assert (found[stage].state, exit_code(found.values())) == ("bad", code)
    assert says in text_of(found[stage])


def test_a_server_without_a_generation_is_incomplete_and_the_line_that_helps_is_named() -> None:
    said = Served("", None, None, False, ("no_generation",))
    stage = judged(servers=(Server(1, "a:1", said),))["serving"]
    assert (stage.state, exit_code([stage])) == ("bad", 8)
    assert [hint for _, hint in stage.problems if "bulkload activate latest" in hint]


def test_before_the_first_generation_a_live_server_is_looked_at_and_no_probe_fails() -> None:
    """Who has just begun did nothing wrong; once a generation exists, to lack it is bad."""
    live = Server(1, "a:1", Served("", None, NOW - 1000, False, ("no_generation",)))
    stage = judged(servers=(live,), lake=NONE)["serving"]
    assert (stage.state, exit_code([stage])) == ("look", 0)
    assert "no generation was made yet" in stage.line
    assert "compact" in str(stage.problems[0][1])
    made = Published("2027-01-15", NOW - SLOT, 10, True, 0)
    for changes in (
        {"lake": dataclasses.replace(well().lake, generations=(made,))},
        {"lake": Unknown("the catalog is away")},
        {"servers": (live, Server(2, "a:2", Unknown("refused")))},
        {"servers": (Server(1, "a:1", Served("", None, NOW, False, ("no_generation", "x"))),)},
    ):
        stage = judged(**{"servers": (live,), "lake": NONE, **changes})["serving"]
        assert (stage.state, exit_code([stage])) == ("bad", 8), changes


def test_a_worker_that_has_just_started_is_not_yet_late() -> None:
    """Its last heartbeat is of the time before; after `max_stream_lag_s` that is no excuse."""
    stream = with_beats(beat(0, 9, 90), beat(1, 9, 90))
    for up_s, state in ((3, "look"), (30, "bad")):
        worker = Running("speed", 2, None, None, NOW - up_s * 1000, "1")
        assert judged(stream=stream, processes=(PROCESS, worker))["worker"].state == state


@pytest.mark.parametrize(
    ("kind", "stage", "command"),
    [
        ("serve", "serving", "impressions serve"),
        ("speed", "worker", "impressions speed"),
        ("follower", "deltas", "impressions serve"),
        ("land", "landed", "impressions land --every 1h"),
    ],
)
@pytest.mark.parametrize("nothing_else_is_known", [True, False])
def test_a_process_that_was_killed_and_not_started_again_is_bad(
    kind: str, stage: str, command: str, nothing_else_is_known: bool
) -> None:
    """A dead server answers nobody, and no other part is late because of it."""
    dead = Running(kind, 7, None, None, NOW - 60_000, "1")
    changes: dict[str, Any] = {"died": (dead,)}
    if nothing_else_is_known:
        changes |= {"servers": NONE, "processes": (), "stream": with_beats()}
    found = judged(**changes)
    assert found[stage].state == "bad"
    assert exit_code(found.values()) == (8 if kind == "serve" else 7)
    assert (f"{kind} (pid 7) died", command) in [
        (what.partition(",")[0], hint) for what, hint in found[stage].problems
    ]


def test_a_table_that_did_not_answer_is_not_an_empty_one() -> None:
    """Neither 0 nor none: not known, and why."""
    away = Unknown("the catalog is away", "start it")
    stage = judged(lake=away)["generations"]
    assert (stage.state, stage.line) == ("bad", "not known")
    assert "what is in the table is not known: the catalog is away" in text_of(stage)
    assert stage.facts["in_table"] is None
    listed = Listed(
        "2027-01-15", "complete", NOW - SLOT, 5, 10, 1, 1, True, None, False, False, False
    )
    stage = judged(lake=away, published=[listed])["generations"]
    assert stage.line.startswith("an unknown number in the table, 1 exported, newest")
    assert stage.state == "look"


@pytest.mark.parametrize("ahead_s", [60, 86_400, 30 * 86_400, 3 * 365 * 86_400])
def test_what_is_called_complete_through_a_time_to_come_is_bad(ahead_s: int) -> None:
    """In the topic, the copy and the table; a second is what clocks differ by."""

    def ahead(by_s: int) -> dict[str, Stage]:
        held = StreamState(NOW + by_s * 1000, FROM_THE_FIRST_MS, restoring=False)
        return judged(
            stream=with_beats(beat(0, 9, -by_s), beat(1, 9, 1)),
            copy=Copy(NOW, {0: held, 1: well().copy.shards[1]}),
            lake=dataclasses.replace(well().lake, valid_through_ms=NOW + by_s * 1000),
        )

    found = ahead(ahead_s)
    for name in ("worker", "deltas", "landed"):
        assert found[name].state == "bad"
        assert "in the future" in text_of(found[name])
    assert exit_code(found.values()) == 7
    assert {ahead(1)[name].state for name in ("worker", "deltas", "landed")} == {"ok"}


def test_a_stamp_of_the_future_is_looked_at() -> None:
    """One record of a broker whose clock was wrong stays in the topic for days."""
    source = {p: SourcePartition(0, 10, NOW + 60 * 86_400_000) for p in range(2)}
    stage = judged(stream=dataclasses.replace(well().stream, partitions=source))["topic"]
    assert stage.state == "look"
    assert "in the future" in text_of(stage)


def test_a_copy_that_nobody_keeps_is_old_and_no_fault() -> None:
    """After `dev down` the copy stays behind, and that is right."""
    stage = judged(processes=(), copy=Copy(NOW + 10**9, well().copy.shards))["deltas"]
    assert stage.state == "none"
    assert "no follower runs here" in stage.line


def test_a_slot_that_is_over_and_undecided_is_due() -> None:
    """It bounds what is closed; the slot under way does not."""
    over, under_way = NOW - 3 * SLOT, NOW // SLOT * SLOT
    slots = {over: SlotRows(5, 2), over + SLOT: SlotRows(5, 0), under_way: SlotRows(1, 1)}
    lake = dataclasses.replace(well().lake, slots=slots, due=frozenset({over}))
    stage = judged(lake=lake)["closed"]
    assert stage.facts["closed_through_ms"] == over
    assert (stage.facts["due_slots"], stage.facts["undecided_rows"]) == (1, 2)


def test_a_generation_that_lacks_late_rows_is_named() -> None:
    """Rows of its own slots only; fewer rows than then are no late rows."""
    cutover = NOW // SLOT * SLOT
    then = {cutover - SLOT: SlotState(5, 0), cutover - 2 * SLOT: SlotState(9, 0)}
    now = {
        cutover - SLOT: SlotState(7, 2), cutover - 2 * SLOT: SlotState(8, 0),
        cutover - 3 * SLOT: SlotState(1, 0), cutover: SlotState(100, 0),
    }  # fmt: skip
    assert lacking(then, now, cutover, SETTINGS.spec) == 2 + 1
    late = Published("2027-01-15T08-00-00", cutover, 10, True, 3)
    stage = judged(lake=dataclasses.replace(well().lake, generations=(late,)))["generations"]
    assert stage.state == "look"
    assert "2027-01-15T08-00-00 lacks 3 rows" in text_of(stage)
    assert exit_code([stage]) == 0, "the next generation cures it"


def test_questions_are_asked_at_once_and_none_keeps_the_others_waiting() -> None:
    """One answers, one is too slow, one fails, one is absent."""

    def absent() -> None:
        raise Absent("not yet", "make it")

    answers = ask_all(
        {"good": lambda: 1, "slow": lambda: time.sleep(3), "bad": lambda: 1 // 0, "absent": absent},
        timeout_s=0.3,
    )
    assert answers["good"] == 1
    assert "no answer" in answers["slow"].because
    assert "ZeroDivisionError" in answers["bad"].because
    assert answers["absent"] == Unknown("not yet", "make it", absent=True)


def test_status_ends_in_its_time_though_a_library_hangs(tmp_path: Path) -> None:
    """A thread pool deep in a library would keep the interpreter for as long as it waits."""
    code = (
        "import functools, sys, time, bulkload.listing, impressions.status.report as s\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1)\n"
        "bulkload.listing.listing = lambda settings: pool.submit(time.sleep, 60).result()\n"
        "s.look = functools.partial(s.look, timeout_s=0.5)\n"
        "from impressions.cli.main import main\n"
        "sys.argv = ['impressions', 'status', '--json']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert "no answer within" in str(found["stages"]["generations"]["problems"])
    assert done.returncode == found["exit_code"] == 7


def test_our_errors_say_whether_something_is_absent_or_damaged() -> None:
    def failing(error: Exception) -> Any:
        def question() -> None:
            raise error

        return ask(question)

    assert failing(NotReady("no broker", hint="x")).absent
    assert failing(CorruptData("bytes")).damaged
    assert not failing(ServiceError("away")).absent


def test_a_server_on_every_interface_is_called_on_this_one() -> None:
    assert reachable("0.0.0.0:50051") == "127.0.0.1:50051"
    assert reachable("10.0.0.7:1") == "10.0.0.7:1"
