"""Status of what is not there, does not answer, or is wrong: each part alone, the rest shown."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest

from batch.closing import SlotState
from batch.landed import Cursor, Landed
from batch.snapshots import State
from batch.stale import lacking
from cli.main import build_app
from impressions.completeness import StreamState
from impressions.errors import CorruptData, NotReady, ServiceError
from impressions.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.shell.command import main
from impressions.shell.running import Running
from impressions.shell.settings import Settings
from local.asking import Absent, Unknown, ask, ask_all
from local.hop import Found, Hop
from local.hops import exit_code, hops
from local.status_lake import Lake, Published
from local.status_serving import Copy, Served, Server, reachable
from local.status_stream import SourcePartition, Stream

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


def landed(*offsets: int) -> Landed:
    return Landed("impressions", "00", 1, None, tuple(Cursor(offset) for offset in offsets))


def well() -> Found:
    """Two partitions of ten records, all of them everywhere, a second ago."""
    source = {p: SourcePartition(0, 10, NOW - 1000) for p in range(2)}
    beats = {p: beat(p, 9, 1.0) for p in range(2)}
    state = State(1, NOW - 1000, landed(10, 10), 1, ())
    held = StreamState(NOW - 1500, FROM_THE_FIRST_MS, restoring=False)
    served = Served("2027-01-15", NOW - SLOT, NOW - 1500, True, ())
    return Found(
        at_ms=NOW,
        stream=Stream("host:1", "impressions", "00", source, NOW, beats, None),
        lake=Lake(state, {NOW - 2 * SLOT: SlotState(5, 0)}, ()),
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


def judged(**changes: Any) -> dict[str, Hop]:
    return {hop.name: hop for hop in hops(dataclasses.replace(well(), **changes), SETTINGS)}


def told(hop: Hop) -> str:
    return " ".join([hop.line, *(what for what, _ in hop.problems)])


def test_nothing_there_is_no_fault_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fresh machine: every hop says what would make it; exit 0; no file appears."""
    monkeypatch.chdir(tmp_path)
    assert main(build_app(), ["status", "--json"], prog="impressions") == 0
    status = json.loads(capsys.readouterr().out)
    assert {hop["state"] for hop in status["hops"].values()} == {"none"}
    assert list(status["hops"]) == [
        "topic", "landed", "closed", "generations", "loaded", "active", "worker", "deltas",
        "serving",
    ]  # fmt: skip
    assert main(build_app(), ["status"], prog="impressions") == 0
    assert "impressions kafka start" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_broker_that_does_not_answer_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that nobody listens on: told with the fix, exit 7, the other hops are there."""
    monkeypatch.chdir(tmp_path)
    argv = ["status", "--json", "--set", "kafka.bootstrap=127.0.0.1:1"]
    assert main(build_app(), argv, prog="impressions") == 7
    found = json.loads(capsys.readouterr().out)["hops"]
    assert (found["topic"]["state"], found["serving"]["state"]) == ("bad", "none")
    assert "kafka.bootstrap" in found["topic"]["problems"][0]["hint"]


def test_all_is_well() -> None:
    """Ages and counts in words; exit 0."""
    found = judged()
    assert {name: hop.state for name, hop in found.items() if hop.state != "ok"} == dict.fromkeys(
        ("generations", "loaded", "active"), "none"
    )
    assert found["topic"].line == "impressions: 2 partitions, 20 records, newest 1.0 s ago"
    assert found["landed"].facts["records_to_land"] == 0
    assert found["worker"].line == "0 records behind, complete through 1.0 s ago in every partition"
    assert exit_code(found.values()) == 0


@pytest.mark.parametrize(
    ("hop", "changes", "says", "code"),
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
def test_what_is_wrong_is_told_and_decides_the_exit_code(
    hop: str, changes: dict[str, Any], says: str, code: int
) -> None:
    found = judged(**changes)
    assert (found[hop].state, exit_code(found.values())) == ("bad", code)
    assert says in told(found[hop])


def test_a_copy_that_nobody_keeps_is_old_and_no_fault() -> None:
    """After `dev down` the copy stays behind, and that is right."""
    hop = judged(processes=(), copy=Copy(NOW + 10**9, well().copy.shards))["deltas"]
    assert hop.state == "none"
    assert "no follower runs here" in hop.line


def test_a_slot_that_is_over_and_undecided_is_due() -> None:
    """It bounds what is closed; the slot under way does not."""
    over, under_way = NOW - 3 * SLOT, NOW // SLOT * SLOT
    slots = {over: SlotState(5, 2), over + SLOT: SlotState(5, 0), under_way: SlotState(1, 1)}
    hop = judged(lake=Lake(well().lake.state, slots, ()))["closed"]
    assert hop.facts["closed_through_ms"] == over
    assert (hop.facts["due_slots"], hop.facts["undecided_rows"]) == (1, 2)


def test_a_generation_that_lacks_late_rows_is_named() -> None:
    """Rows of its own slots only; fewer rows than then are no late rows."""
    cutover = NOW // SLOT * SLOT
    then = {cutover - SLOT: SlotState(5, 0), cutover - 2 * SLOT: SlotState(9, 0)}
    now = {
        cutover - SLOT: SlotState(7, 2), cutover - 2 * SLOT: SlotState(8, 0),
        cutover - 3 * SLOT: SlotState(1, 0), cutover: SlotState(100, 0),
    }  # fmt: skip
    assert sum(lacking(then, now, cutover, SETTINGS.spec).values()) == 2 + 1
    late = Published("2027-01-15T08-00-00", cutover, 10, True, 3)
    hop = judged(lake=Lake(well().lake.state, now, (late,)))["generations"]
    assert hop.state == "look"
    assert "2027-01-15T08-00-00 lacks 3 rows" in told(hop)
    assert exit_code([hop]) == 0, "the next generation cures it"


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
