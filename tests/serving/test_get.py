"""`impressions get`: flags to a request, an answer to a table or JSON."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from impressions.cli.get import _refuse_rows_of_later, command
from impressions.client import CallFailed, Context, ProfileResult
from impressions.core.errors import SettingsError, UsageError
from impressions.core.ids import PROFILE_BITS, TITLE_BITS, hash_id
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from tests.generations import CUTOVER_MS, blocks_of
from tests.serving.support import EVENTS, expected_of, install, serving, settings_in
from tests.tolerance import FLOAT32_STORED

DEFAULTS = {
    "profile": None,
    "profile_text": None,
    "titles": "",
    "titles_text": "",
    "locations": "",
    "by_location": False,
    "top": None,
    "by": "impressions/7d",
    "measures": "",
    "half_lives": "",
    "at": "2026-11-15",
    "ema_rates": False,
    "plays_per_impression": False,
    "timeout_s": 10.0,
    "token_file": None,
    "tls_ca": None,
    "json": False,
}


@pytest.fixture
def get(server, capsys):
    """Runs the verb with the given flags; what it printed on stdout."""

    def run(**flags) -> str:
        settings = Settings()
        command(settings=settings, **{**DEFAULTS, "address": server.address, **flags})
        return capsys.readouterr().out

    return run


def test_json_has_every_column_of_every_row_as_the_oracle_has_it(get):
    document = json.loads(get(profile=3, by_location=True, json=True))
    want = expected_of(3, EVENTS, CUTOVER_MS, CUTOVER_MS)
    assert document["context"]["generation"] == "2026-11-15"
    assert document["matched_rows"] == len(document["rows"]) == len(want)
    for row in document["rows"]:
        expected = want[3, row["title_id"], row["location"]]
        assert row["last_seen_ms"] == expected["last_seen_ms"]
        assert row["impressions"] == expected["impressions"]
        for days in (1, 7, 30, 180, 365):
            shown, sum_ = row[f"dwell_s/{days}d"], expected["dwell_s", days]
            assert math.isclose(shown, sum_, rel_tol=FLOAT32_STORED)


def test_the_table_shows_the_usual_columns_and_what_it_was_made_from(get):
    """Last seen in words; the footer ends with whether it is complete."""
    printed = get(profile=3, top=2)
    title, header, *rows, footer = printed.rstrip().splitlines()
    assert title.strip() == "profile 3"
    assert re.split(r"\s{2,}", header)[:5] == [
        "title", "impressions", "plays", "dwell_s", "last seen",
    ]  # fmt: skip
    assert "impressions/7d" in header
    assert "impressions/1d" not in header
    assert len(rows) == 2
    assert all(" d " in row and " ago" in row for row in rows)
    assert footer.startswith("2 of ")
    assert "generation 2026-11-15" in footer
    assert "cutover 2026-11-15 00:00:00Z" in footer
    assert footer.endswith("no live stream · complete")


def test_an_incomplete_answer_says_why(get):
    """29 days after the cutover."""
    assert "INCOMPLETE: past the tail horizon" in get(profile=3, at="2026-12-14T00:00:00Z")


def test_named_measures_and_half_lives_are_all_shown(get):
    header = get(profile=3, measures="plays", half_lives="1,180").splitlines()[1]
    assert re.split(r"\s{2,}", header.strip()) == [
        "title", "plays", "last seen", "plays/1d", "plays/180d",
    ]  # fmt: skip


def test_presented_numbers_have_columns_of_their_own(get):
    rows = json.loads(get(profile=3, ema_rates=True, plays_per_impression=True, json=True))["rows"]
    for row in rows:
        assert math.isclose(row["plays_per_day/7d"], row["plays/7d"] * math.log(2) / 7)
        assert 0 <= row["plays_per_imp/7d"] <= 1


def test_top_ranks_by_what_is_asked(get):
    document = json.loads(get(profile=3, top=3, by="dwell_s/180d", json=True))
    sums = [row["dwell_s/180d"] for row in document["rows"]]
    assert len(sums) == 3
    assert sums == sorted(sums, reverse=True)


def test_a_profile_that_was_never_seen_is_said_so(get):
    printed = get(profile=99_999)
    assert printed.startswith("profile 99999: no impressions in the window\n0 of 0 rows")


def test_text_ids_are_hashed_as_the_import_hashes_them(tmp_path, capsys):
    """The event was imported under the hashed ids of a user and a title."""
    profile, title = hash_id("user-abc", PROFILE_BITS), hash_id("film-1", TITLE_BITS)
    event = {"title": title, "location": 0, "event_ms": CUTOVER_MS - DAY_MS}
    events = [(profile, {**event, "played": 1, "dwell_s": 2.0}, CUTOVER_MS - DAY_MS)]
    settings = settings_in(tmp_path)
    install(settings, blocks=blocks_of(events))
    with serving(settings) as server:
        flags = {"profile_text": "user-abc", "titles_text": "film-1, film-2", "json": True}
        command(settings=settings, **{**DEFAULTS, "address": server.address, **flags})
    document = json.loads(capsys.readouterr().out)
    assert document["profile_id"] == profile
    assert [row["title_id"] for row in document["rows"]] == [title]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({}, "one of --profile and --profile-text"),
        ({"profile": 1, "profile_text": "a"}, "one of --profile and --profile-text"),
        ({"profile": 1, "titles": "7,x"}, "--titles '7,x': expected numbers"),
        ({"profile": 1, "top": 1, "by": "plays"}, "--by 'plays': expected measure/half-life"),
        ({"profile": 1, "at": "yesterday"}, "--at 'yesterday': expected a time"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused_with_an_example(get, flags, text):
    with pytest.raises(UsageError, match=re.escape(text)):
        get(**flags)


def test_a_refusal_of_the_server_arrives_with_both_numbers(get):
    with pytest.raises(CallFailed, match="2026-11-14T00:00:00Z lies before the cutover 2026-11-15"):
        get(profile=1, at="2026-11-14")


def test_the_token_of_a_file_is_sent(tmp_path, capsys):
    token_file = tmp_path / "tokens"
    token_file.write_text("secret\n")
    settings = settings_in(tmp_path, token_file=token_file)
    install(settings)
    with serving(settings) as server:
        flags = {**DEFAULTS, "address": server.address, "profile": 1}
        command(settings=settings, **flags)
        assert "generation 2026-11-15" in capsys.readouterr().out
        with pytest.raises(CallFailed, match="no valid token"):
            command(settings=Settings(), **flags)
        with pytest.raises(SettingsError, match="cannot be read"):
            command(settings=Settings(), **{**flags, "token_file": tmp_path / "absent"})


def test_errors_are_json_under_json_with_exit_code_8():
    """A real process; nothing listens on port 1."""
    arguments = ["--profile", "1", "--address", "127.0.0.1:1", "--json"]
    code = "import sys; from impressions.cli.main import main; sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-c", code, "get", *arguments], capture_output=True, text=True, timeout=60
    )
    document = json.loads(run.stdout)
    assert (run.returncode, document["reason"]) == (8, "unavailable")
    assert "impressions serve" in document["hint"]


def test_an_answer_for_a_time_before_its_newest_impression_is_not_shown():
    """Each later impression would weigh more than 1; at the newest one's own time it weighs 1."""
    at_ms = 1_000_000
    context = Context("", 0, None, at_ms, False, ("no_generation",))

    def answer(*last_seen_ms: int) -> ProfileResult:
        n = len(last_seen_ms)
        seen = np.array(last_seen_ms, np.int64)
        return ProfileResult(7, context, n, np.arange(n), None, seen, {}, {}, {}, {})

    for fine in (answer(), answer(at_ms), answer(1, at_ms)):
        _refuse_rows_of_later(fine)
    with pytest.raises(UsageError, match="1 of 2 rows hold later impressions") as caught:
        _refuse_rows_of_later(answer(5, at_ms + 1))
    assert caught.value.reason == "query_before_events"
