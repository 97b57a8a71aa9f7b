"""Who may ask the console, what of, and with which words in the answer's head."""

from __future__ import annotations

from pathlib import Path

import pytest

from impressions.console import guard
from impressions.console.page import PAGES
from impressions.core.errors import Refused
from tests.console.support import Browser

ADDRESSES = [address for _, address, _ in PAGES]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert guard.is_loopback(host) is loopback


def test_another_address_is_refused_unless_somebody_allows_it() -> None:
    """The refusal says both ways to go on."""
    with pytest.raises(Refused, match="no login") as refused:
        guard.checked("0.0.0.0:8470", beyond_loopback=False)
    assert "ssh -L" in (refused.value.hint or "")
    assert "--beyond-loopback" in (refused.value.hint or "")
    assert guard.checked("0.0.0.0:8470", beyond_loopback=True) == ("0.0.0.0", 8470)
    assert guard.checked("[::1]:0", beyond_loopback=False) == ("::1", 0)


def test_names_are_ours_with_our_port() -> None:
    names = guard.host_names("127.0.0.1", 8470, "lake.lan, proxy.lan:443")
    for ours in (
        "127.0.0.1:8470",
        "LocalHost:8470",
        "[::1]:8470",
        "lake.lan:8470",
        "proxy.lan:443",
    ):
        assert guard.is_ours(ours, names), ours
    for foreign in (None, "", "localhost", "localhost:80", "evil.example:8470", "lake.lan:443"):
        assert not guard.is_ours(foreign, names), foreign
    assert guard.is_ours("localhost", guard.host_names("127.0.0.1", 80, ""))


@pytest.mark.parametrize("path", [*ADDRESSES, "/static/console.css"])
def test_a_name_that_is_not_ours_learns_nothing(tmp_path: Path, path: str) -> None:
    """A page that has pointed its own name at loopback gets one line, and no name of the system."""
    answer = Browser(tmp_path, environment="secret-name").ask(path, host="evil.example:8470")
    assert answer.status_code == 421
    assert "secret-name" not in answer.text
    assert answer.mimetype == "text/plain"


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_but_reading_is_taken(tmp_path: Path, path: str, method: str) -> None:
    assert Browser(tmp_path).ask(path, method).status_code == 405


@pytest.mark.parametrize("path", [*ADDRESSES, "/not-there", "/static/console.css"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_answer_forbids_scripts_frames_and_copies(
    tmp_path: Path, path: str, method: str
) -> None:
    """Also one that refuses."""
    answer = Browser(tmp_path).ask(path, method)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", [*ADDRESSES, "/not-there"])
def test_a_page_has_no_script_no_style_of_its_own_and_nothing_from_elsewhere(
    tmp_path: Path, path: str
) -> None:
    """What the policy would block anyway is not there."""
    text = Browser(tmp_path).ask(path).text
    for forbidden in ("<script", "style=", "onclick", "http://", "https://", "javascript:"):
        assert forbidden not in text, forbidden
