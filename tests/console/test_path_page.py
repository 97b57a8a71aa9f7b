"""The strip: every stage of `status` is on it, in order, and the first broken one is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from impressions.console.masking import MASK, Masking
from impressions.console.path_page import BESIDE, PATHS, RUNBOOK, Strip, strip
from impressions.console.sources import STATUS
from impressions.core.completeness import StreamState
from impressions.formats.heartbeat import FROM_THE_FIRST_MS
from impressions.process.registry import Running
from impressions.settings.model import Settings
from impressions.status.facts import Lake, Quality
from impressions.status.questions import Unknown
from impressions.status.report import Status
from impressions.status.serving import Copy, Served, Server
from impressions.status.stage import Found, Stage
from impressions.status.stages import stages
from tests.console.support import Browser
from tests.local.test_stages import NOW, beat, well, with_beats

ROOT = Path(__file__).parents[2]
HIDDEN = Masking(shown=False)
SETTINGS = Settings(slot_seconds=20, partitions=2)


def of(**changes: Any) -> Strip:
    found = dataclasses.replace(well(), **changes)
    return strip(Status(found, stages(found, SETTINGS)), HIDDEN)


def dead_worker() -> dict[str, Any]:
    """Beats of a minute ago, and what follows from them."""
    reasons = ("stream_behind",)
    behind = Served("2027-01-15", NOW - 20_000, NOW - 60_000, False, reasons)
    held = StreamState(NOW - 60_000, FROM_THE_FIRST_MS, restoring=False)
    return {
        "copy": Copy(NOW, {0: held, 1: held}),
        "stream": with_beats(beat(0, 9, 60), beat(1, 9, 60)),
        "servers": (Server(1, "127.0.0.1:1", behind),),
    }


def test_every_stage_of_status_has_a_place_and_a_page_of_the_runbook() -> None:
    """A stage that status gets later is shown beside the paths, not lost."""
    names = {stage.name for stage in stages(well(), SETTINGS)}
    placed = {place.stage for places in (*PATHS.values(), BESIDE) for place in places}
    assert placed == names == RUNBOOK.keys()
    for page in RUNBOOK.values():
        assert (ROOT / "docs" / "runbook" / page).exists(), page
    new = Stage("audit", "bad", "profile 42 is off", (("profile 42 is off", "look"),))
    with_new = strip(Status(well(), (*stages(well(), SETTINGS), new)), HIDDEN)
    assert [stage.title for stage in with_new.others] == [
        "Jobs",
        "Reconciliation",
        "Disks",
        "Audit",
    ]
    assert [stage.problems[0][0] for stage in with_new.broken] == [f"profile {MASK} is off"]


def test_each_stage_shows_how_far_it_is() -> None:
    """The lags of a system that is well, a second or so ago."""
    (_, batch), (_, live) = of().paths
    figures = {stage.name: stage.figure for stage in (*batch, *live)}
    assert figures["topic"] == figures["landed"] == figures["worker"] == "1.0 s"
    assert figures["deltas"] == figures["serving"] == "1.5 s"
    assert of().broken == ()


def test_the_first_broken_stage_is_named_and_what_follows_from_it_is_not() -> None:
    """A dead worker makes answers incomplete: the place to look at is the worker."""
    found = of(**dead_worker())
    assert [stage.name for stage in found.broken] == ["worker"]
    what, hint = found.broken[0].problems[0]
    assert "behind" in what
    assert hint == "no worker runs on this machine: impressions speed"


def test_a_worker_that_runs_is_not_started_again() -> None:
    worker = Running("speed", 2, None, None, NOW - 3_600_000, "1")
    found = of(**dead_worker(), processes=(worker,))
    assert found.broken[0].problems[0][1] is None


def test_what_is_behind_a_broken_stage_is_so_on_every_path() -> None:
    """The server stands at the end of both: on the batch path, too, the worker is to be seen to."""
    found = of(**dead_worker())
    assert {stage.behind for _, row in found.paths for stage in row if stage.name == "serving"} == {
        "Speed"
    }
    assert [what for stage, what, _ in found.found if stage.name == "serving"] == [
        "127.0.0.1:1: answers are incomplete: stream_behind"
    ]


def test_two_paths_may_be_broken_at_two_places() -> None:
    """Tables that cannot be read, and a dead worker: both are said."""
    found = of(**dead_worker(), lake=Unknown("no catalog"))
    assert [stage.name for stage in found.broken] == ["landed", "worker"]


def test_a_fault_behind_a_stage_that_is_well_is_one_of_its_own() -> None:
    """A finding about a day does not make a server fall behind."""
    lake = well().lake
    assert isinstance(lake, Lake)
    finding = Quality(NOW, ("2027-01-14-aaaaaa all: half of it",), (), 0)
    away = Server(1, "127.0.0.1:1", Unknown("nobody listens", "impressions serve"))
    found = of(lake=dataclasses.replace(lake, quality=finding), servers=(away,))
    assert [stage.name for stage in found.broken] == ["quality", "serving"]


def parts_of(found: Found) -> dict[str, Callable[[], Any]]:
    return {name: partial(getattr, found, name) for name in STATUS}


def test_the_page_says_where_it_is_broken_and_what_to_do(tmp_path: Path) -> None:
    """In words, above everything else; the command stands apart, so that it can be copied."""
    away = Unknown("the broker does not answer", "is it up? impressions kafka status")
    found = dataclasses.replace(well(), stream=away)
    text = Browser(tmp_path, parts_of(found)).text("/")
    assert "Broken at Topic" in text
    assert text.index("Broken at Topic") < text.index("Batch path")
    assert "is it up? <code>impressions kafka status</code>" in text
    assert "docs/runbook/no-broker.md" in text


def test_a_part_that_cannot_be_asked_says_so_and_the_others_stay(tmp_path: Path) -> None:
    """The broker is away; what the servers say is there all the same."""

    def away() -> None:
        raise ConnectionError("nobody listens")

    text = Browser(tmp_path, parts_of(well()) | {"stream": away}).text("/")
    assert "nobody listens" in text
    assert "1 of 1 server answer completely" in text
