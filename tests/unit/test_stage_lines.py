"""Progress in a log: what is said, when, and what is not worth a line."""

from __future__ import annotations

import pytest

from impressions.terminal import console
from impressions.terminal.stage_lines import StageLines, stage_lines
from tests.fixed_clock import FixedClock


def test_a_stage_ends_with_what_was_done_and_how_long_it_took() -> None:
    """Items are counted, bytes have units."""
    rows = StageLines("verify rows", 2_000_000, "items", now_s=100.0)
    rows.advance(1_000_000)
    rows.advance(234_567)
    assert rows.end(103.4) == "verify rows: 1,234,567 in 3.4 s"
    copy = StageLines("copy", None, "bytes", now_s=0.0)
    copy.set(3 << 30)
    assert copy.end(252.0) == "copy: 3.0 GiB in 4 min 12 s"


def test_a_short_stage_says_nothing() -> None:
    """Up to two seconds are no stage that anybody waited for."""
    stage = StageLines("copy", 10, "bytes", now_s=5.0)
    assert stage.end(7.0) is None
    assert stage.end(7.5) == "copy: 0 B in 2.5 s"


def test_a_long_stage_says_every_thirty_seconds_how_far_it_is() -> None:
    """With the whole as soon as it is known, whatever a bar would say in between."""
    stage = StageLines("compact", None, "items", now_s=0.0)
    stage.describe("something else")
    assert stage.due(29.9) is None
    assert stage.due(30.0) == "compact: 0 after 30.0 s"
    stage.set(1_500, 6_000)
    assert stage.due(59.0) is None
    assert stage.due(61.0) == "compact: 1,500 of 6,000 after 1 min 1 s"


def test_a_stage_that_counts_nothing_says_how_long_it_takes() -> None:
    """The start of a broker has no parts that could be counted."""
    stage = StageLines("start the broker", None, "time", now_s=0.0)
    assert stage.due(30.0) == "start the broker: 30.0 s so far"
    assert stage.end(31.5) == "start the broker: 31.5 s"
    assert stage.end(31.5, failed=True) == "start the broker: failed after 31.5 s"


def test_a_stage_that_fails_says_how_far_it_came() -> None:
    """The error comes after this line and is not replaced by it."""
    clock, said = FixedClock(0), list[str]()

    def fill_the_disk() -> None:
        with stage_lines("copy", 10, "items", said.append, lambda: clock.at_ms / 1000) as stage:
            stage.advance(4)
            clock.advance(3_400)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert said == ["copy: failed at 4 after 3.4 s"]


def test_lines_go_to_stderr_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads JSON from stdout is not disturbed."""
    monkeypatch.setattr("impressions.terminal.stage_lines.SHORT_S", -1.0)
    with console.progress("copy", total=7) as bar:
        bar.advance(7)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("copy: 7 in 0.0 s")
