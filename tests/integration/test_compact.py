"""Compact on real Spark and Iceberg: the numbers, the plan, and what may be published when."""

import json

import pytest
from pyspark.sql import functions as F

from batch.compact import command, compact, recompute_published
from batch.compacting.job import Compacting
from batch.compacting.refs import branch_of, refs
from batch.lake import tables
from batch.lake.generations import history
from batch.lake.snapshots import by_id
from batch.rules.aggregate import aggregate, exchanges
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
    return Compacting(lake.spark, lake.settings, cutover_ms, start_run("compact"))


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


@pytest.mark.slow
def test_plan_has_no_exchange_and_the_numbers_of_an_unpartitioned_copy(lake, first):
    """What makes the weekly job a plain scan, and that it is not bought with wrong numbers."""
    branch = branch_of(names(lake)[0], "window_2026_11_15")
    source, spec = lake.spark.table(branch), lake.settings.spec
    grouped = aggregate(source, CUTOVER_MS, spec)
    copy = lake.spark.createDataFrame(source.collect(), source.schema).repartition(3)
    shuffled = aggregate(copy, CUTOVER_MS, spec)
    assert exchanges(grouped) == 0
    assert exchanges(shuffled) > 0
    # The same rows, be they summed in another order.
    columns = [c for c in grouped.columns if c not in spec.decayed_names and c != "dwell_s"]
    assert grouped.select(*columns).exceptAll(shuffled.select(*columns)).count() == 0
    assert grouped.count() == shuffled.count()
    totals = [F.sum(name) for name in spec.decayed_names]
    assert list(grouped.agg(*totals).first()) == pytest.approx(
        list(shuffled.agg(*totals).first()), rel=FLOAT64
    )


def test_a_filter_on_the_slot_would_bring_the_exchange_back(lake, first):
    """Why the window is a branch: the reason for the layout stays true."""
    raw = lake.spark.table(names(lake)[0]).where("ingest_slot < TIMESTAMP '2026-11-15 00:00:00Z'")
    assert exchanges(aggregate(raw, CUTOVER_MS, lake.settings.spec)) > 0


def test_rows_of_files_behind_the_cutover_are_known(lake, first):
    """No stream ever saw them, so the generation says until when answers lack some."""
    generation = history(tables.find(lake.settings, tables.EMA)).of(CUTOVER_MS)
    assert generation.history_until_ms == max(row[2] for row in EVENTS) + 1 > CUTOVER_MS


def test_report_says_what_was_done(first):
    assert (first["status"], first["changed"], first["exchanges"]) == ("published", True, 0)
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
    """main and the tag are one snapshot, the audit branch is gone, raw keeps window and source."""
    raw, ema = names(lake)
    assert refs(lake.spark, ema) == {
        "main": first["snapshots"]["ema"],
        "gen_2026_11_15": first["snapshots"]["ema"],
    }
    of_raw = refs(lake.spark, raw)
    assert of_raw["src_2026_11_15"] == of_raw["main"] == first["snapshots"]["raw"]
    assert (
        by_id(tables.find(lake.settings, tables.RAW))[of_raw["window_2026_11_15"]].operation
        == "delete"
    )


def test_every_ref_expires(lake, first):
    """A ref without RETAIN would hold its files for ever."""
    for table in names(lake):
        kept = lake.spark.sql(f"SELECT * FROM {table}.refs WHERE name <> 'main'").collect()
        assert kept
        assert all(ref["max_reference_age_in_ms"] for ref in kept)


def test_results_of_the_audits_are_properties_of_the_published_snapshot(lake, first):
    summary = by_id(tables.find(lake.settings, tables.EMA))[first["snapshots"]["ema"]].summary
    assert summary["audit.unique_keys"].startswith("0 ")
    assert summary["impressions.cutover-ms"] == str(CUTOVER_MS)
    assert summary["impressions.source-snapshot-id"] == str(first["snapshots"]["raw"])
    assert summary["impressions.spec"] == lake.settings.spec.fingerprint
    assert int(summary["total-records"]) == first["counts"]["entries"]


def test_files_are_one_per_shard_and_sorted(lake, first):
    ema = names(lake)[1]
    files = lake.spark.table(f"{ema}.files").select("file_path", "partition.shard").collect()
    assert sorted(file["shard"] for file in files) == sorted({file["shard"] for file in files})
    for file in files:
        rows = lake.spark.read.parquet(file["file_path"]).select(
            "profile_id", "title_id", "location", F.coalesce(F.unix_date("tail_day"), F.lit(-1))
        )
        assert (found := [tuple(row) for row in rows.collect()]) == sorted(found)


def test_same_date_again_does_nothing(lake, first):
    """Also when raw has got later slots since: the window's content is the same."""
    write_closed(lake, [(7, event(1, CUTOVER_MS + DAY_MS), CUTOVER_MS + DAY_MS)])
    before = by_id(tables.find(lake.settings, tables.EMA))
    report = compact(job(lake))
    assert (report.changed, report.extra["status"]) == (False, "already published")
    assert by_id(tables.find(lake.settings, tables.EMA)) == before


@pytest.mark.slow
def test_recompute_finds_the_same_and_publishes_nothing(lake, first):
    ema = names(lake)[1]
    before = refs(lake.spark, ema)
    report = recompute_published(job(lake))
    assert report.extra["difference"]["rows"] == first["counts"]["entries"]
    assert report.extra["difference"]["largest"] <= 1e-12
    assert refs(lake.spark, ema) == before


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
    assert set(refs(fresh.spark, names(fresh)[0])) == {"main"}


def test_command_prints_one_json_line(fresh, capsys):
    """Without slots outside the window: no delete is needed."""
    write_closed(fresh, [(1, event(1, CUTOVER_MS - 1), CUTOVER_MS - 1)])
    command(settings=fresh.settings, logical_date=DATE, json=True, dry_run=False, recompute=False)
    report = json.loads(capsys.readouterr().out)
    assert (report["generation"], report["counts"]["entries"]) == ("2026-11-15", 1)
    assert report["window"]["outside_files"] == 0
