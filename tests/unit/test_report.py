"""The run report: who ran, what was said, and what the job did, in one JSON object."""

from __future__ import annotations

import pytest

from impressions.terminal.report import Outcome, start_run


def test_the_report_holds_run_notes_and_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    """Keys of every job come first, its own last; notes are said at once, and repeated here."""
    run = start_run("close", {"again": True})
    run.note("nothing to do")
    assert "nothing to do" in capsys.readouterr().err
    report = run.report(Outcome(True, {"slots": 1}, {"raw": 7}, {"status": "closed"})).as_dict()
    assert list(report) == [
        "job", "run_id", "started", "seconds", "changed", "arguments", "counts", "snapshots",
        "notes", "status",
    ]  # fmt: skip
    assert report["seconds"] >= 0
    assert (report["job"], report["run_id"], report["changed"]) == ("close", run.id, True)
    assert report["arguments"] == {"again": True}
    assert (report["counts"], report["snapshots"]) == ({"slots": 1}, {"raw": 7})
    assert (report["notes"], report["status"]) == (["nothing to do"], "closed")


def test_a_run_with_nothing_to_do_has_changed_nothing() -> None:
    """An outcome that says nothing is a success without a change."""
    report = start_run("land").report(Outcome()).as_dict()
    assert (report["changed"], report["counts"], report["notes"]) == (False, {}, [])
