"""Export: what is in the SST files, what the manifest lists, and doing it again."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from batch import compact, export
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from batch.exporting.leftovers import sweep_unlisted
from batch.exporting.verifying import check_complete
from batch.lake import refs, snapshots, tables
from batch.lake.guarded_commit import commit
from impressions.core import merge
from impressions.core.errors import CorruptData, NotReady, Refused, UsageError
from impressions.core.item import profile_of_key
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.formats import manifest as manifests
from impressions.formats import profile_block
from impressions.formats.generation_paths import sst_path
from impressions.formats.manifest import SstFile
from impressions.rocksdb import generation_store
from impressions.storage.directory import open_directory
from impressions.terminal.report import start_run
from oracle import naive
from tests.compare import as_dict, differences
from tests.generations import content_digest
from tests.integration.conftest import Lake, new_lake
from tests.integration.raw_events import CUTOVER_MS, DATE, YEAR_SEED, counted, event, write_closed
from tests.tolerance import FLOAT32_STORED

pytestmark = pytest.mark.spark

CREATED_MS = CUTOVER_MS + 5


def export_job(lake: Lake, cutover_ms: int = CUTOVER_MS, **fields) -> Exporting:
    job = Exporting.of(lake.settings, cutover_ms, start_run("export"))
    return replace(job, clock=lambda: CREATED_MS, **fields)


def publish(lake: Lake, cutover_ms: int = CUTOVER_MS) -> None:
    compact.compact(Compacting(lake.settings, cutover_ms, start_run("compact")))


def manifest_of(lake: Lake) -> manifests.Manifest:
    path = lake.settings.home_dir / "generations" / DATE / "manifest.json"
    return manifests.decode(path.read_bytes())


def pairs_of(lake: Lake, tmp_path, shards=None) -> dict[bytes, bytes]:
    """(key, value) of the listed files, through a RocksDB of their copies."""
    root = lake.settings.home_dir / "generations" / DATE
    copies: dict[int, list] = {}
    for i, file in enumerate(manifest_of(lake).files):
        if shards is None or file.shard in shards:
            copy = tmp_path / f"{i}.sst"
            copy.write_bytes((root / file.path).read_bytes())
            copies.setdefault(file.shard, []).append(copy)
    generation_store.create(tmp_path / "db", copies)
    db = generation_store.open_read_only(tmp_path / "db", copies)
    try:
        return dict(db.scan())
    finally:
        db.close()


@pytest.fixture(scope="module")
def lake(published_year):
    return published_year.lake


@pytest.fixture(scope="module")
def exported(lake):
    job = export_job(lake)
    return job.run.report(export.export(job)).as_dict()


@pytest.mark.parametrize("days_later", [0, 3, 27])
def test_blocks_equal_the_oracle(published_year, lake, exported, tmp_path, days_later):
    """Every profile, read as serving reads it; with the tail leaving the window day by day."""
    spec, query_ms = lake.settings.spec, CUTOVER_MS + days_later * DAY_MS
    found = {}
    for key, value in pairs_of(lake, tmp_path).items():
        block = profile_block.decode(value, spec)
        rows = merge.merge(query_ms, CUTOVER_MS, block, (), spec)
        found |= as_dict(profile_of_key(key), rows, spec)
    expected = naive.answers(counted(published_year.events), query_ms)
    assert len(expected) > 500
    assert differences(found, expected, FLOAT32_STORED) == [], f"seed {YEAR_SEED}"


def test_files_hold_what_the_manifest_says(lake, exported, tmp_path):
    import hashlib

    root, manifest = lake.settings.home_dir / "generations" / DATE, manifest_of(lake)
    for file in manifest.files:
        data = (root / file.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)
        (tmp_path / str(file.shard)).mkdir()
        pairs = pairs_of(lake, tmp_path / str(file.shard), {file.shard})
        keys = sorted(pairs)
        assert {shard_of(profile_of_key(k), manifest.partitions) for k in keys} == {file.shard}
        assert (len(keys), keys[0].hex(), keys[-1].hex()) == (file.rows, file.min_key, file.max_key)
        assert content_digest((k, pairs[k]) for k in keys) == file.digest


def test_manifest_names_what_it_was_made_from(lake, exported):
    manifest = manifest_of(lake)
    manifests.check_fits(manifest, lake.settings.spec, lake.settings.partitions)
    table = lake.spark.table(tables.full_name(lake.settings, tables.EMA))
    assert (manifest.generation, manifest.cutover_ms) == (DATE, CUTOVER_MS)
    assert manifest.entries == table.count()
    assert manifest.profiles == table.select("profile_id").distinct().count()
    assert manifest.ema_snapshot_id == exported["snapshots"]["ema"]
    assert manifest.raw_snapshot_id == exported["snapshots"]["raw"]
    assert manifest.created_ms == CREATED_MS


def test_report_stands_beside_the_manifest(lake, exported):
    root = lake.settings.home_dir / "generations" / DATE
    (line,) = (root / "report.json").read_text().splitlines()
    assert json.loads(line)["counts"] == exported["counts"]
    assert set(json.loads(line)["audits"]) >= {"conservation", "sample", "volume"}


def test_export_again_verifies_and_changes_nothing(lake, exported):
    root = lake.settings.home_dir / "generations" / DATE
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    report = export.export(export_job(lake))
    assert (report.changed, report.extra["status"]) == (False, "already exported")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_smaller_files_hold_the_same_pairs(lake, exported, tmp_path, spark):
    """Rolling: several files per shard, ranges disjoint, content as before."""
    whole = pairs_of(lake, tmp_path)
    other = Lake(
        lake.settings.model_copy(update={"generations_uri": str(tmp_path / "other")}), lake.spark
    )
    export.export(export_job(other, roll_bytes=2_000))
    data = (tmp_path / "other" / DATE / "manifest.json").read_bytes()
    files = manifests.decode(data).files
    assert len(files) > 2 * lake.settings.partitions
    assert [f.path.partition("-")[0] for f in files[:2]] == ["shard=0/00000", "shard=0/00001"]
    assert sum(file.rows for file in files) == len(whole)


@pytest.fixture(scope="module")
def small(spark, tmp_path_factory) -> Lake:
    """One profile, so all other shards are empty; exported."""
    lake = new_lake(tmp_path_factory.mktemp("small"))
    write_closed(lake, [(1, event(1, CUTOVER_MS - 1), CUTOVER_MS - 1)])
    publish(lake)
    export.export(export_job(lake))
    return lake


@pytest.fixture
def own(small, tmp_path) -> Iterator[Lake]:
    """The same, with exported files that the test may damage."""
    files, kept = small.settings.home_dir / "generations", tmp_path / "kept"
    shutil.copytree(files, kept)
    yield small
    shutil.rmtree(files)
    shutil.copytree(kept, files)


def test_empty_shard_has_no_file(own):
    (file,) = manifest_of(own).files
    assert (file.shard, file.rows) == (shard_of(1, own.settings.partitions), 1)


def test_force_writes_fresh_files_and_sweep_removes_the_old(own):
    root = own.settings.home_dir / "generations" / DATE
    (old,) = manifest_of(own).files
    report = export.export(export_job(own), force=True)
    (new,) = manifest_of(own).files
    assert report.changed
    assert (new.path != old.path, new.digest == old.digest) == (True, True)
    target = open_directory(str(root))
    modified_ms = next(f.modified_ms for f in target.list() if f.path == old.path)
    assert sweep_unlisted(target, modified_ms + 3_600_000, age_hours=2) == []
    assert sweep_unlisted(target, modified_ms + 7_200_000, age_hours=2) == [old.path]
    assert not (root / old.path).exists()
    assert (root / new.path).exists()


def test_other_content_is_refused(own):
    """Somebody's manifest under the same name: nothing is replaced without --force."""
    path = own.settings.home_dir / "generations" / DATE / "manifest.json"
    manifest = manifest_of(own)
    other = replace(manifest, files=(replace(manifest.files[0], digest="00" * 32),))
    path.write_bytes(manifests.encode(other))
    with pytest.raises(Refused, match="exported already with other content"):
        export.export(export_job(own))
    assert manifest_of(own) == other


@pytest.mark.slow
def test_deleted_rows_are_not_exported(spark, tmp_path):
    """Delete files in a signed snapshot, by somebody's own hands: a task applies them."""
    lake = new_lake(tmp_path)
    now_ms = CUTOVER_MS - 1
    write_closed(lake, [(i, event(title, now_ms), now_ms) for i in (1, 2) for title in (1, 2)])
    publish(lake)
    job = export_job(lake)
    ema = tables.find(lake.settings, tables.EMA)
    signed = snapshots.by_id(ema)[snapshots.refs(ema)[job.tag]]
    lake.spark.sql(f"ALTER TABLE {job.ema} SET TBLPROPERTIES ('write.delete.mode'='merge-on-read')")
    lake.spark.sql(f"DELETE FROM {job.ema} WHERE profile_id = 1 AND title_id = 2")
    ours = {k: v for k, v in signed.summary.items() if k.startswith(("impressions.", "audit."))}
    ema = tables.find(lake.settings, tables.EMA)
    refs.set_tag(ema, job.tag, commit(ema, (), ours))
    assert export.export(export_job(lake)).counts["entries"] == 3


def test_missing_file_is_refused_and_force_repairs(own):
    root = own.settings.home_dir / "generations" / DATE
    (root / manifest_of(own).files[0].path).unlink()
    with pytest.raises(Refused, match="no bytes, expected"):
        export.export(export_job(own))
    export.export(export_job(own), force=True)
    assert (root / manifest_of(own).files[0].path).exists()


def test_damaged_manifest_is_refused_and_force_repairs(own):
    path = own.settings.home_dir / "generations" / DATE / "manifest.json"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptData):
        export.export(export_job(own))
    export.export(export_job(own), force=True)
    assert manifest_of(own).generation == DATE


def test_unpublished_generation_is_not_ready(own):
    with pytest.raises(NotReady, match=r"2026-11-22 is not published .*; published: 2026-11-15"):
        export.export(export_job(own, CUTOVER_MS + 7 * DAY_MS))


def test_dry_run_writes_nothing(own, tmp_path):
    settings = own.settings.model_copy(update={"generations_uri": str(tmp_path / "none")})
    report = export.export(export_job(Lake(settings, own.spark)), dry_run=True)
    assert (report.extra["status"], report.counts["entries"]) == ("would write", 1)
    assert not (tmp_path / "none").exists()


def test_command_takes_one_name_and_prints_one_json_line(own, capsys):
    flags = {"force": False, "sweep_files": True, "sweep_age_hours": 24, "dry_run": False}
    with pytest.raises(UsageError, match="one of"):
        export.command(
            settings=own.settings, generation=DATE, logical_date=DATE, json=True, **flags
        )
    export.command(settings=own.settings, generation=None, logical_date=DATE, json=True, **flags)
    report = json.loads(capsys.readouterr().out)
    assert (report["status"], report["counts"]["swept_files"]) == ("already exported", 0)


def sst(shard: int, first: int, last: int) -> SstFile:
    path = sst_path(shard, first, "a")
    return SstFile(shard, path, last - first + 1, 1, f"{first:016x}", f"{last:016x}", "", "")


@pytest.mark.parametrize(
    ("files", "written", "message"),
    [
        ([sst(0, 1, 5)], {0: 9, 1: 3}, "shards .1. have rows but no file"),
        ([sst(0, 1, 5), sst(1, 1, 2)], {0: 9, 1: 2}, "shard 1: 2 rows .* expected 3"),
        ([sst(0, 1, 5)], {0: 9}, "shard 1: 0 rows .* expected 3"),
        ([sst(0, 1, 5), sst(0, 5, 7), sst(1, 1, 2)], {0: 9, 1: 3}, "expected disjoint ranges"),
    ],
)
def test_an_export_that_is_not_whole_is_refused(files, written, message):
    with pytest.raises(Refused, match=message):
        check_complete(files, written, {0: 9, 1: 3})
