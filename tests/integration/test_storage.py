"""A generation's directory on a local disk and on S3 (moto's server, over TCP): same manners."""

import hashlib
import logging
import uuid
from urllib.parse import parse_qs

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSystem

from batch.exporting.leftovers import sweep_unlisted
from batch.lake.profile_merge import complete_profiles_of
from impressions.storage.directory import below, open_directory, shown

BUCKET = "lake"


@pytest.fixture(scope="module")
def s3_query():
    """The part of an S3 URI that names moto's server; credentials as a client finds them."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    query = f"scheme=http&endpoint_override={host}:{port}&region=us-east-1"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        files, _ = FileSystem.from_uri(f"s3://{BUCKET}?{query}&allow_bucket_creation=true")
        files.create_dir(BUCKET)
        yield query
    server.stop()


@pytest.fixture(params=["local", "s3"])
def directory(request, tmp_path):
    """A directory that nobody has made yet."""
    if request.param == "local":
        return open_directory(str(tmp_path / "generations" / "2026-11-15"))
    query = request.getfixturevalue("s3_query")
    return open_directory(below(f"s3://{BUCKET}/{uuid.uuid4().hex}?{query}", "2026-11-15"))


def test_what_is_put_is_there(directory, tmp_path):
    """Larger than one chunk; the digest is that of the bytes."""
    data = bytes(range(256)) * 20_000
    (tmp_path / "part.sst").write_bytes(data)
    digest = directory.put(tmp_path / "part.sst", "shard=0/00000-a.sst")
    assert digest == hashlib.sha256(data).hexdigest()
    assert directory.read("shard=0/00000-a.sst") == data
    assert [(f.path, f.size_bytes) for f in directory.list()] == [
        ("shard=0/00000-a.sst", len(data))
    ]


def test_a_name_goes_before_the_query_and_secrets_are_not_shown():
    uri = below("s3://key:secret@lake/generations?endpoint_override=h:9000", "2026-11-15")
    assert uri == "s3://key:secret@lake/generations/2026-11-15?endpoint_override=h:9000"
    assert shown(uri) == "s3://lake/generations/2026-11-15"
    assert shown(below("/data/generations", "2026-11-15")) == "/data/generations/2026-11-15"


def test_nothing_is_there_before_the_first_write(directory):
    assert directory.read("manifest.json") is None
    assert directory.list() == []


def test_replace_leaves_the_new_bytes_and_no_other_file(directory):
    directory.replace("manifest.json", b"one, the longer")
    directory.replace("manifest.json", b"two")
    assert directory.read("manifest.json") == b"two"
    assert [file.path for file in directory.list()] == ["manifest.json"]


def test_rows_of_an_object_are_those_of_the_file(s3_query, tmp_path):
    """A data file, opened with the properties that Iceberg has of the store."""
    path, profiles = f"{BUCKET}/data/{uuid.uuid4().hex}.parquet", [1, 1, 2, 5]
    files, _ = FileSystem.from_uri(f"s3://{BUCKET}?{s3_query}")
    rows = pa.table({"profile_id": pa.array(profiles, pa.int64())})
    pq.write_table(rows, path, filesystem=files, row_group_size=2)
    address = parse_qs(s3_query)["endpoint_override"][0]
    storage = {
        "s3.endpoint": f"http://{address}", "client.region": "us-east-1",
        "s3.access-key-id": "test", "s3.secret-access-key": "test",
    }  # fmt: skip
    pieces = complete_profiles_of([f"s3://{path}"], ["profile_id"], storage)
    assert [i for piece in pieces for i in piece.column("profile_id").to_pylist()] == profiles


def test_sweep_takes_old_sst_files_only(directory, tmp_path):
    (tmp_path / "part.sst").write_bytes(b"x")
    directory.put(tmp_path / "part.sst", "shard=0/00000-a.sst")
    directory.replace("report.json", b"{}")
    (modified_ms,) = (f.modified_ms for f in directory.list() if f.path.endswith(".sst"))
    hour_ms = 3_600_000
    assert sweep_unlisted(directory, modified_ms + hour_ms - 1, age_hours=1) == []
    assert sweep_unlisted(directory, modified_ms + hour_ms, 1, dry_run=True) == [
        "shard=0/00000-a.sst"
    ]
    assert sweep_unlisted(directory, modified_ms + hour_ms, age_hours=1) == ["shard=0/00000-a.sst"]
    assert [file.path for file in directory.list()] == ["report.json"]
