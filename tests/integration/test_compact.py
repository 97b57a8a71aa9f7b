"""Compact on Iceberg: the numbers, Spark's of the same rows, and what may be published when."""

import json

import pytest

from batch.compact import command, compact, recompute_published
from batch.compacting.job import Compacting
from batch.lake import snapshots, tables
from batch.lake.data_files import live_files
from batch.lake.generations import history
from batch.lake.snapshots import by_id
from impressions.core.errors import NotReady, Refused, UsageError
from impressions.core.spec import DAY_MS
from impressions.terminal.report import start_run
from oracle import naive
from tests.compare import differences
from tests.integration.conftest import Lake, new_lake
from tests.integration.raw_events import (
    CUTOVER_MS,
    DATE,
    YEAR_SEED,
    counted,
    ema_rows,
    event,
    write_closed,
    year,
)
from tests.tolerance import FLOAT64

pytestmark = pytest.mark.spark

EVENTS = year(YEAR_SEED)


def job(lake: Lake, cutover_ms: int = CUTOVER_MS) -> Compacting:
    return Compacting(lake.settings, cutover_ms, start_run("compact"))


def refs(lake: Lake, table: str) -> dict[str, int]:
    return snapshots.refs(tables.find(lake.settings, table))


def names(lake: Lake) -> tuple[str, str]:
    return tuple(tables.full_name(lake.settings, t) for t in (tables.RAW, tables.EMA))


@pytest.fixture(scope="module")
def lake(published_year):
    return published_year.lake


@pytest.fixture(scope="module")
def first(published_year):
    """The report of the first generation; raw holds later slots and older ones as well."""
    assert published_year.events == EVENTS
    return published_year.report


def test_rows_equal_the_oracle(lake, first):
    """Every (profile, title, location): late, ahead, at the window's and the tail's edges."""
    expected = naive.answers(counted(EVENTS), CUTOVER_MS)
    assert len(expected) > 500
    assert differences(ema_rows(lake), expected, FLOAT64) == [], f"seed {YEAR_SEED}"


def test_tail_days_are_kept_apart(lake, first):
    """Profile 3: two tail days of one title, and the first day after the tail."""
    table = lake.spark.table(names(lake)[1]).where("profile_id = 3")
    rows = table.selectExpr("unix_date(tail_day) AS day", "impressions").collect()
    first_day = CUTOVER_MS // DAY_MS - 364
    assert sorted(rows, key=str) == sorted([(first_day + 27, 2), (None, 1)], key=str)


def test_rows_of_files_behind_the_cutover_are_known(lake, first):
    """No stream ever saw them, so the generation says until when answers lack some."""
    generation = history(tables.find(lake.settings, tables.EMA)).of(CUTOVER_MS)
    assert generation.history_until_ms == max(row[2] for row in EVENTS) + 1 > CUTOVER_MS


def test_report_says_what_was_done(first):
    assert (first["status"], first["changed"], first["parts"]) == ("published", True, 4)
    assert all(audit["ok"] for audit in first["audits"])
    assert [audit["name"] for audit in first["audits"]] == [
        "schema", "conservation", "values", "half_lives", "unique_keys", "shards", "partitioner",
        "volume", "sample",
    ]  # fmt: skip
    assert first["totals"]["impressions"] == sum(
        row["impressions"] for row in naive.answers(counted(EVENTS), CUTOVER_MS).values()
    )
    json.dumps(first)


def test_refs_after_publication(lake, first):
    """main and the tag are one snapshot, the audit branch is gone, raw keeps its source."""
    assert refs(lake, tables.EMA) == {
        "main": first["snapshots"]["ema"],
        "gen_2026_11_15": first["snapshots"]["ema"],
    }
    of_raw = refs(lake, tables.RAW)
    assert of_raw == {"main": of_raw["main"], "src_2026_11_15": first["snapshots"]["raw"]}


def test_every_ref_expires(lake, first):
    """A ref without an age would hold its files for ever."""
    for name in (tables.RAW, tables.EMA):
        kept = dict(tables.find(lake.settings, name).metadata.refs)
        del kept["main"]
        assert kept
        assert all(ref.max_ref_age_ms for ref in kept.values())


def test_results_of_the_audits_are_properties_of_the_published_snapshot(lake, first):
    summary = by_id(tables.find(lake.settings, tables.EMA))[first["snapshots"]["ema"]].summary
    assert summary["audit.unique_keys"].startswith("0 ")
    assert summary["impressions.cutover-ms"] == str(CUTOVER_MS)
    assert summary["impressions.source-snapshot-id"] == str(first["snapshots"]["raw"])
    assert summary["impressions.spec"] == lake.settings.spec.fingerprint
    assert int(summary["total-records"]) == first["counts"]["entries"]


def test_spark_reads_what_was_committed(lake, first):
    """Files, bounds and sort order as Iceberg's Java wants them."""
    ema = names(lake)[1]
    files = lake.spark.table(f"{ema}.files").select("partition.shard", "sort_order_id").collect()
    assert sorted(file["shard"] for file in files) == [0, 1, 2, 3]
    assert {file["sort_order_id"] for file in files} == {1}
    assert lake.spark.table(ema).count() == first["counts"]["entries"]
    assert lake.spark.table(ema).where("profile_id = 3").count() == 2


def test_same_date_again_does_nothing(lake, first):
    """Also when raw has got later slots since: the window's content is the same."""
    write_closed(lake, [(7, event(1, CUTOVER_MS + DAY_MS), CUTOVER_MS + DAY_MS)])
    before = by_id(tables.find(lake.settings, tables.EMA))
    report = compact(job(lake))
    assert (report.changed, report.extra["status"]) == (False, "already published")
    assert by_id(tables.find(lake.settings, tables.EMA)) == before


@pytest.mark.slow
def test_recompute_finds_the_same_and_publishes_nothing(lake, first):
    """Of a table whose files are in two layouts, read by Iceberg's Java."""
    raw = tables.find(lake.settings, tables.RAW)
    layouts = {len(file.partition) for file in live_files(raw, snapshots.main_id(raw))}
    assert layouts == {1, 2}
    before = refs(lake, tables.EMA)
    report = recompute_published(job(lake), lake.spark)
    assert report.extra["difference"]["rows"] == first["counts"]["entries"]
    assert report.extra["difference"]["largest"] <= 1e-12
    assert refs(lake, tables.EMA) == before


def test_earlier_date_is_refused(lake, first):
    with pytest.raises(Refused, match="2026-11-15, later than 2026-11-08"):
        compact(job(lake, CUTOVER_MS - 7 * DAY_MS))


def test_date_beyond_valid_through_is_not_ready(lake, first):
    with pytest.raises(NotReady, match="2026-11-16T00:00:00Z, expected at least 2026-11-22"):
        compact(job(lake, CUTOVER_MS + 7 * DAY_MS))


def test_date_inside_a_slot_is_a_usage_error(lake):
    with pytest.raises(UsageError, match="not the start of an ingest slot"):
        command(settings=lake.settings, logical_date="2026-11-15T06:00:00")


def test_another_content_is_never_published_under_the_same_name(lake, first):
    """A row that lands in a closed slot of the window afterwards."""
    write_closed(
        lake, [(9, event(1, CUTOVER_MS - DAY_MS), CUTOVER_MS - DAY_MS)],
        valid_through_ms=CUTOVER_MS + 7 * DAY_MS,
    )  # fmt: skip
    with pytest.raises(Refused, match="never published under the same name"):
        compact(job(lake))


@pytest.fixture
def fresh(spark, tmp_path):
    return new_lake(tmp_path)


@pytest.mark.slow
def test_second_week_owns_its_slots_and_leaves_the_first_alone(fresh):
    """A new generation is another snapshot under another tag; the old one reads as before."""
    events = year(YEAR_SEED, profiles=20)
    write_closed(fresh, events)
    compact(job(fresh))
    week = [(8, event(1, CUTOVER_MS + n * DAY_MS), CUTOVER_MS + n * DAY_MS) for n in range(1, 7)]
    later_ms = CUTOVER_MS + 7 * DAY_MS
    write_closed(fresh, week, valid_through_ms=later_ms)
    report = compact(job(fresh, later_ms))
    expected = naive.answers(counted([*events, *week], later_ms), later_ms)
    assert differences(ema_rows(fresh), expected, FLOAT64) == []
    old = naive.answers(counted(events), CUTOVER_MS)
    assert differences(ema_rows(fresh, "gen_2026_11_15"), old, FLOAT64) == []
    volume = next(a for a in report.extra["audits"] if a["name"] == "volume")
    assert "1 earlier generations" in volume["expected"]


def test_nothing_landed_is_not_ready(fresh):
    with pytest.raises(NotReady, match="does not exist yet"):
        compact(job(fresh))
    tables.create_if_missing(fresh.settings, tables.RAW)
    with pytest.raises(NotReady, match="raw is complete nowhere yet"):
        compact(job(fresh))


def test_open_slots_are_named(fresh):
    write_closed(fresh, [(1, event(1, CUTOVER_MS - 1), CUTOVER_MS - 1)], undecided=True)
    with pytest.raises(NotReady, match=r"1 of 1 slots .* are open: 2026-11-14 00:00:00Z") as error:
        compact(job(fresh))
    assert "impressions close" in error.value.hint


def test_dry_run_changes_nothing(fresh):
    write_closed(fresh, [(1, event(1, CUTOVER_MS - 1), CUTOVER_MS - 1)])
    report = compact(job(fresh), dry_run=True)
    assert (report.extra["status"], report.counts["rows"]) == ("would compute", 1)
    assert tables.find(fresh.settings, tables.EMA) is None
    assert set(refs(fresh, tables.RAW)) == {"main"}


def test_command_prints_one_json_line(fresh, capsys):
    write_closed(fresh, [(1, event(1, CUTOVER_MS - 1), CUTOVER_MS - 1)])
    command(
        settings=fresh.settings,
        logical_date=DATE,
        json=True,
        dry_run=False,
        recompute=False,
        export=False,
    )
    report = json.loads(capsys.readouterr().out)
    assert (report["generation"], report["counts"]["entries"]) == ("2026-11-15", 1)
    assert report["window"]["outside_files"] == 0
