"""Each page from plain facts: what it shows, what it hides, and that all of it is text."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch.reconciling.findings import Difference, Finding, NamedEvent, Skipped
from batch.reconciling.outcome import outcome_of
from batch.reconciling.round import Round
from impressions.client.failures import CallFailed
from impressions.client.result import Context, ProfileResult
from impressions.console.environment import environment_of
from impressions.console.look_up import Found
from impressions.console.masking import MASK, Masking
from impressions.console.page import PAGES
from impressions.console.sources import Runs
from impressions.core.spec import DAY_MS, HALF_LIVES_DAYS, MEASURES
from impressions.formats.seam_record import SeamRecord
from impressions.history.run_record import HistoryEvent, RunRecord, decode
from impressions.settings.model import Settings
from impressions.status.facts import (
    DayFinding,
    GenerationStatus,
    HostStatus,
    Lake,
    Listed,
    Published,
    QualityDays,
    Rotation,
)
from impressions.status.serving import Served, Server
from impressions.terminal.console import jsonable
from tests.console.support import ADDRESS, AT_MS, Browser

EVIL = "<script>alert('x')</script>"
PROFILE = 4_242_424_242
CUTOVER_MS = AT_MS - 2 * DAY_MS


def seam(differences: tuple[str, ...] = ()) -> SeamRecord:
    return SeamRecord(
        "2026-11-13",
        "2026-11-06",
        CUTOVER_MS,
        CUTOVER_MS,
        1,
        16,
        16,
        0,
        1000,
        (),
        differences,
        None,
    )


def host(**changes: Any) -> HostStatus:
    one = GenerationStatus(
        "2026-11-13", "loaded", True, False, False, CUTOVER_MS, "2 d", CUTOVER_MS + 28 * DAY_MS,
        False, 1 << 20, (0, 1), 40, CUTOVER_MS, None, None, seam(),
    )  # fmt: skip
    whole = HostStatus(
        "/srv/host", 1 << 30, "2026-11-13", None, CUTOVER_MS, (0, 1), (one,), (), (), False
    )
    return dataclasses.replace(whole, **changes)


def lake() -> Lake:
    one = Published("2026-11-13", CUTOVER_MS, 480, True, 3)
    return Lake(AT_MS, (), {}, frozenset(), (one,))


def listed(problem: str | None = None) -> list[Listed]:
    return [
        Listed("2026-11-13", "complete", CUTOVER_MS, 40, 480, 1 << 20, 1 << 20, True, problem,
               True, True, False)
    ]  # fmt: skip


def days(**changes: Any) -> QualityDays:
    finding = DayFinding(
        "2026-11-12-3fa9c1", "2026-11-12", "2026-11-13", "device_type=tv", "plays_per_impression",
        0.05, 0.2, "device type tv: a quarter of the plays", True, False,
    )  # fmt: skip
    accepted = dataclasses.replace(finding, id="2026-11-10-aaaaaa", first_day="2026-11-10",
                                   last_day="2026-11-10", accepted=True)  # fmt: skip
    values = np.array([[0.2, 0.2], [0.2, 0.1], [np.nan, 0.2], [0.2, 0.05], [0.2, 0.06]])
    whole = QualityDays(
        tuple(f"2026-11-{d}" for d in range(9, 14)),
        (("all", "all"), ("device_type=tv", "device type tv")),
        {"impressions": values * 1000, "plays_per_impression": values},
        (finding, accepted),
    )
    return dataclasses.replace(whole, **changes)


def run(job: str, **changes: Any) -> RunRecord:
    whole = RunRecord(
        job, "5f0c2a9b1d3e", "lake-1", AT_MS - 60_000, AT_MS - 57_000, 0, changed=True
    )
    return dataclasses.replace(whole, **changes)


def rounds_of_reconcile() -> Runs:
    """As the history keeps it: what a round found, to a record, to bytes and back."""
    event = NamedEvent(
        "impressions", 3, 99, 0, 5, "2026-11-14T00:00:00Z", "2026-11-14T00:00:05Z", 9, 0, False,
        1.0, {"topic": "has", "raw": "lacks"},
    )  # fmt: skip
    difference = Difference(9, 0, {"impressions": 2}, {"impressions": 1}, (event,), 1, "lost")
    finding = Finding(PROFILE, 3, "2026-11-13", "2026-11-15T00:00:00Z", (), (difference,))
    skipped = tuple(Skipped(n, "corrupt", "damaged") for n in range(2))
    outcome = outcome_of(Round(200, (finding,), skipped))
    differs = run("reconcile", exit_code=6, arguments={"profile": [PROFILE]},
                  counts=outcome.counts, extra=outcome.extra)  # fmt: skip
    kept = decode(json.dumps(asdict(differs), default=jsonable).encode(), "a record")
    return Runs((kept, run("close", counts={"slots": 1})), ())


def answer(profile: int = PROFILE, reasons: tuple[str, ...] = ()) -> ProfileResult:
    """Two titles; title 9 has 4 impressions, 2 of them played."""
    sums = {
        (m.name, h): np.array([4.0, 1.0]) * weight / (1 + i)
        for i, m in enumerate(MEASURES)
        for h, weight in zip(HALF_LIVES_DAYS, (0.25, 0.5, 0.75, 0.9, 0.95), strict=True)
    }
    return ProfileResult(
        profile,
        Context("2026-11-13", CUTOVER_MS, AT_MS - 1500, AT_MS, not reasons, reasons),
        7,
        np.array([9, 7]),
        None,
        np.array([AT_MS - 60_000, AT_MS - DAY_MS]),
        {"impressions": np.array([4.0, 1.0]), "plays": np.array([2.0, 0.0]),
         "dwell_s": np.array([61.5, 2.0])},
        sums,
        {},
        {},
    )  # fmt: skip


def found(*reasons: str) -> Found:
    return Found(answer(reasons=reasons), ADDRESS, 3, CUTOVER_MS, "0.1.0")


def looking(result: Found | Exception) -> Any:
    """A look-up that answers; the ids that it was asked for are in `asked`."""

    def look_up(address: str, profile_id: int, days: int) -> Found:
        asked.append((address, profile_id, days))
        if isinstance(result, Exception):
            raise result
        return result

    asked: list[tuple[str, int, int]] = []
    look_up.asked = asked  # type: ignore[attr-defined]
    return look_up


def cells(text: str) -> str:
    """What a person reads: no tags, blanks joined."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_environment_is_on_every_page_and_production_is_marked(tmp_path: Path) -> None:
    for address in [a for _, a, _ in PAGES]:
        text = Browser(tmp_path, environment="Production eu-1").text(address)
        assert "<strong>Production eu-1</strong>" in text
        assert '<body class="production">' in text
        assert '<body class="other">' in Browser(tmp_path, environment="staging").text(address)


def test_without_a_name_it_is_host_and_home_and_no_production(tmp_path: Path) -> None:
    """A home called prod does not make it one, and a mark nobody set would be no mark."""
    one = environment_of(Settings(home=tmp_path / "prod"), "lake-1")
    assert (one.name, one.kind) == (f"lake-1 {tmp_path / 'prod'}", "other")


def test_generations_and_servers_are_shown_part_by_part(tmp_path: Path) -> None:
    """A generation's way from the table to this host, what it lacks, and its seam."""
    served = Served("2026-11-13", CUTOVER_MS, AT_MS - 2000, False, ("stream_behind",))
    text = cells(
        Browser(
            tmp_path,
            {
                "lake": lake, "published": listed, "host": host,
                "servers": lambda: (Server(1, ADDRESS, served),),
            },
        ).text("/generations")
    )  # fmt: skip
    assert "2026-11-13 active 2026-11-13 00:00:00Z 2 d ago main, 480 entries" in text
    assert "complete, 40 profiles" in text
    assert "16 of 16 alike" in text
    assert "lacks 3 rows that arrived after it" in text
    assert "2.0 s ago incomplete: the live stream is behind" in text


def test_what_could_not_be_asked_is_not_called_none(tmp_path: Path) -> None:
    def broken() -> Any:
        raise OSError("no such share")

    text = cells(Browser(tmp_path, {"published": broken, "host": host}).text("/generations"))
    assert "not known" in text
    assert "no such share" in text


def test_a_day_with_a_finding_is_drawn_and_the_command_that_accepts_it_is_shown(
    tmp_path: Path,
) -> None:
    browser = Browser(tmp_path, {"days": days})
    text = browser.text("/quality?segment=device_type%3Dtv&measure=plays_per_impression")
    assert "impressions accept 2026-11-12-3fa9c1 --reason" in text
    assert "impressions accept 2026-11-10-aaaaaa" not in text, "it is accepted"
    assert text.count('class="band blocks"') == 1
    assert text.count('class="band accepted"') == 1
    assert "2026-11-12: 0.05" in text
    assert "1 finding stands" in text
    first = browser.text("/quality")
    assert "plays_per_impression of device type tv, by day" in first, "the newest that stands"
    other = browser.text("/quality?segment=all&measure=impressions")
    assert "impressions of all, by day" in other
    assert 'class="band' not in other, "the finding is of another segment and measure"


@pytest.mark.parametrize("asked", ["segment=nobody&measure=nothing", f"segment={EVIL}"])
def test_a_choice_that_is_not_there_is_the_first_one(tmp_path: Path, asked: str) -> None:
    text = Browser(tmp_path, {"days": days}).text(f"/quality?{asked}")
    assert "impressions of all, by day" in text
    assert "<script" not in text


def test_reconciliation_shows_rounds_rotation_and_named_events(tmp_path: Path) -> None:
    rotation = Rotation(AT_MS - 3_600_000, AT_MS - 7 * DAY_MS, 500)
    parts = {"runs": rounds_of_reconcile, "rotation": lambda: rotation}
    text = cells(Browser(tmp_path, parts).text("/reconciliation"))
    assert "Last full round began 7 d ago Round under way since" in text
    assert "✕ broken 198 1 1 answers are not what their events make; 2 not compared" in text
    assert "impressions partition 3 offset 99 flush 0" in text
    assert "topic has, raw lacks" in text


@pytest.mark.parametrize(
    "findings",
    [
        7, {"a": 1}, ["no"], [{"differences": 7}], [{"differences": ["no", {"events": "no"}]}],
        [{"profile_id": "x", "differences": [{"events": [7, {"layers": 7}]}]}],
    ],
    ids=str,
)  # fmt: skip
def test_a_report_of_another_shape_breaks_no_page(tmp_path: Path, findings: Any) -> None:
    """A record that another version wrote, or nobody knows who."""
    strange = run("reconcile", exit_code=6, counts={"differing": 1.5e300}, extra={
        "findings": findings,
    })  # fmt: skip
    browser = Browser(tmp_path, {"runs": lambda: Runs((strange,), ())})
    for page in ("/reconciliation", "/jobs"):
        assert "reconcil" in browser.text(page)


def test_jobs_show_how_each_ended_and_one_job_alone(tmp_path: Path) -> None:
    failed = run("land", exit_code=7, reason="records_lost", error="7 records went", changed=False)
    healed = run("close", events=(HistoryEvent("healed", AT_MS, "a slot closed again", "slot 3"),))
    stopped = run("export", exit_code=130)
    history = Runs((failed, healed, stopped), ("land/x.json",))
    browser = Browser(tmp_path, {"runs": lambda: history})
    text = cells(browser.text("/jobs"))
    assert "land ✕ broken 57.0 s ago never" in text
    assert "exit 7, records_lost: 7 records went" in text
    assert "healed: a slot closed again slot 3" in text
    assert "export – interrupted" in text
    assert "land/x.json of the history holds no record" in text
    alone = cells(browser.text("/jobs?job=close"))
    assert "records_lost" not in alone
    assert "Last runs of close" in alone


def test_a_profile_is_drawn_with_the_numbers_of_the_answer(tmp_path: Path) -> None:
    """Totals by default; the server, the generation, the deltas and the time it was made from."""
    browser = Browser(tmp_path, look_up=looking(found()))
    text = browser.text(f"/profile?profile={PROFILE}")
    said = cells(text)
    assert browser.console.look_up.asked == [(ADDRESS, PROFILE, 7)]
    assert "9 4 2 61.5 1 min ago drawn" in said
    assert "7 1 0 2 1 d ago draw" in said
    assert "2 of 7 titles, totals, not decayed" in said
    assert "✓ The answer is complete." in said
    assert "Generation 2026-11-13 Cutover 2026-11-13 00:00:00Z" in said
    assert "Deltas through 2026-11-14 23:59:58Z (1.5 s ago) Deltas since 2026-11-13" in said
    assert f"Server {ADDRESS}, version 0.1.0, shard 3" in said
    assert "half-life 7 d: 2 now" in said
    decayed = cells(browser.text(f"/profile?profile={PROFILE}&weight=7&title=7&measure=plays"))
    assert "9 2 1 0.6667" in decayed
    assert "half-life 7 d: 0.25 now" in decayed


def test_an_incomplete_answer_says_why(tmp_path: Path) -> None:
    browser = Browser(tmp_path, look_up=looking(found("past_tail_horizon", "newer_than_this")))
    text = cells(browser.text(f"/profile?profile={PROFILE}"))
    assert "! The answer is incomplete" in text
    assert "days that left the window are still counted" in text
    assert "newer_than_this" in text


def test_a_profile_is_looked_up_only_at_servers_that_the_operator_named(tmp_path: Path) -> None:
    browser = Browser(tmp_path, look_up=looking(found()))
    browser.text(f"/profile?profile={PROFILE}&server=10.0.0.1:80")
    assert browser.console.look_up.asked[0][0] == ADDRESS


@pytest.mark.parametrize("typed", ["abc", "-1", "1.5", str(1 << 63), EVIL, "٣", "9" * 400])
def test_what_is_no_id_is_refused_before_anybody_is_asked(tmp_path: Path, typed: str) -> None:
    text = Browser(tmp_path).text(f"/profile?profile={typed}")
    assert "characters that are no id" in text
    assert "<script" not in text


@pytest.mark.parametrize("shown", [False, True])
def test_ids_of_profiles_are_masked_unless_asked_for(tmp_path: Path, shown: bool) -> None:
    """On every page that could show one: answers, errors, events, arguments. The form keeps what
    was typed, as dots."""
    failed = CallFailed(f"profile {PROFILE}: not owned", code="FAILED_PRECONDITION")
    pages = (
        ({"runs": rounds_of_reconcile}, None, "/reconciliation"),
        ({"runs": rounds_of_reconcile}, None, "/jobs"),
        ({}, looking(found()), f"/profile?profile={PROFILE}"),
        ({}, looking(failed), f"/profile?profile={PROFILE}"),
    )
    for parts, look_up, path in pages:
        more = {} if look_up is None else {"look_up": look_up}
        text = Browser(tmp_path, parts, shown=shown, **more).text(path)
        without_form = re.sub(r"<input[^>]*>", "", text)
        assert (str(PROFILE) in without_form) is shown, path
        assert (MASK in text) is not shown, path
        if "<input" in text:
            assert ('class="masked"' in text) is not shown


def test_a_masked_text_keeps_other_numbers() -> None:
    hidden = Masking(shown=False)
    assert hidden.text("profile 42 of shard 3: 421 rows") == f"profile {MASK} of shard 3: 421 rows"
    assert hidden.text("id 42: 421 rows", 42) == f"id {MASK}: 421 rows"
    assert hidden.text("40 profiles, 3 shards") == "40 profiles, 3 shards"


def test_names_from_elsewhere_are_shown_as_text(tmp_path: Path) -> None:
    """Host names, segments, messages, measures, file names: none becomes a tag."""
    evil_days = days(
        segments=((EVIL, EVIL), ("x", "x")),
        findings=(dataclasses.replace(days().findings[0], segment=EVIL, sentence=EVIL),),
    )
    evil_run = run("close", host=EVIL, exit_code=1, error=EVIL, arguments={"a": EVIL})
    parts = {
        "published": lambda: listed(EVIL), "lake": lake, "days": lambda: evil_days,
        "host": lambda: host(data_dir=EVIL, problems=((EVIL, EVIL),)),
        "servers": lambda: (Server(1, EVIL, Served(EVIL, 1, None, False, (EVIL,))),),
        "runs": lambda: Runs((evil_run,), (EVIL,)),
    }  # fmt: skip
    browser = Browser(tmp_path, parts, environment=EVIL, look_up=looking(RuntimeError(EVIL)))
    for path in [*(a for _, a, _ in PAGES), "/profile?profile=1", f"/jobs?job={EVIL}"]:
        text = browser.text(path)
        assert "<script" not in text, path
        assert "&lt;script&gt;" in text, path


def test_a_page_is_asked_for_again_unless_it_is_paused(tmp_path: Path) -> None:
    """A page left open does not grow old unseen. A form in use is left alone."""
    browser = Browser(tmp_path, {"days": days})
    assert 'http-equiv="refresh"' in browser.text("/")
    paused = browser.text("/quality?segment=all&paused=1")
    assert 'http-equiv="refresh"' not in paused
    assert "Paused: this page grows old." in paused
    assert 'href="/quality?segment=all"' in paused, "going on keeps the choice"
    assert 'http-equiv="refresh"' not in browser.text("/profile")


@pytest.mark.parametrize("words", ["_scheme=javascript&_external=1", "endpoint=x", "_anchor=x"])
def test_an_address_with_words_of_the_library_is_a_plain_address(
    tmp_path: Path, words: str
) -> None:
    """They would change where the links of the page lead."""
    text = Browser(tmp_path).text(f"/?{words}")
    assert 'href="/?paused=1"' in text
    assert "javascript" not in text


def test_each_part_says_how_old_it_is(tmp_path: Path) -> None:
    browser = Browser(tmp_path, {"days": days})
    assert "answered 0.0 s ago" in cells(browser.text("/quality"))
    browser.console.clock.at_ms += 7_000  # type: ignore[attr-defined]
    assert "answered 7.0 s ago" in cells(browser.text("/quality"))
