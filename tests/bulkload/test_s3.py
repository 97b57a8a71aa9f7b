"""Loading from S3 over real TCP: moto's server on the loopback, with faults put in front of it."""

import logging
import threading
from types import SimpleNamespace

import pytest

from bulkload import retry
from bulkload.listing import listing
from bulkload.load import load
from bulkload.verify import verify_host, verify_published
from impressions.errors import Refused, ServiceError
from impressions.generation import MANIFEST
from tests.bulkload.world import NEW, OLD

pytest.importorskip("moto.server", reason="moto[server] is not installed")
BUCKET = "lake"


class Faults:
    """WSGI in front of moto: the next `errors` GETs of an SST answer 503, `cuts` end half way."""

    def __init__(self, app):
        self._app, self.errors, self.cuts = app, 0, 0
        self.fired = 0

    def __call__(self, environ, start_response):
        body_wanted = environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith(".sst")
        if body_wanted and self.errors:
            self.errors -= 1
            self.fired += 1
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        parts = self._app(environ, start_response)
        if body_wanted and self.cuts:
            self.cuts -= 1
            self.fired += 1
            body = b"".join(parts)
            return [body[: len(body) // 2]]
        return parts


@pytest.fixture(scope="module")
def server():
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    faults = Faults(DomainDispatcherApplication(create_backend_app))
    running = make_server("127.0.0.1", 0, faults, threaded=True)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield SimpleNamespace(port=running.server_port, faults=faults)
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def s3(world, server, monkeypatch):
    """The world's generations in a bucket; its host, still on disk, reads from there."""
    from pyarrow import fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(retry, "PAUSES_S", (0.0, 0.0, 0.0))
    query = f"endpoint_override=127.0.0.1:{server.port}&scheme=http&region=us-east-1"
    uri = f"s3://{BUCKET}/generations?{query}"
    bucket, _ = fs.FileSystem.from_uri(f"{uri}&allow_bucket_creation=true")
    bucket.create_dir(BUCKET)
    fs.copy_files(
        str(world.published), f"{BUCKET}/generations",
        source_filesystem=fs.LocalFileSystem(), destination_filesystem=bucket,
    )  # fmt: skip
    settings = world.settings.model_copy(update={"generations_uri": uri})
    server.faults.errors = server.faults.cuts = server.faults.fired = 0
    yield SimpleNamespace(
        world=world, settings=settings, bucket=bucket, faults=server.faults, uri=uri
    )
    bucket.delete_dir(f"{BUCKET}/generations")


def test_a_generation_is_listed_verified_and_loaded_from_s3(s3):
    """The same verbs, another address."""
    assert [item.generation for item in listing(s3.settings)] == [OLD, NEW]
    assert verify_published(s3.settings, NEW).ok
    assert load(s3.settings, "latest").generation == NEW
    assert verify_host(s3.settings, NEW).ok


def test_an_object_that_is_not_there_is_refused(s3):
    """Manifest and SST alike."""
    path = s3.world.manifest(NEW).files[0].path
    s3.bucket.delete_file(f"{BUCKET}/generations/{NEW}/{path}")
    with pytest.raises(Refused) as caught:
        load(s3.settings, NEW)
    assert caught.value.reason == "missing_file"
    s3.bucket.delete_file(f"{BUCKET}/generations/{NEW}/{MANIFEST}")
    with pytest.raises(Refused) as caught:
        load(s3.settings, NEW)
    assert caught.value.reason == "missing_manifest"


def test_a_flipped_byte_in_an_object_is_refused(s3):
    """And the host is as before."""
    path = f"{BUCKET}/generations/{NEW}/{s3.world.manifest(NEW).files[0].path}"
    data = bytearray(s3.bucket.open_input_stream(path).read())
    data[1000] ^= 1
    with s3.bucket.open_output_stream(path) as stream:
        stream.write(bytes(data))
    before = s3.world.snapshot()
    with pytest.raises(Refused) as caught:
        load(s3.settings, NEW)
    assert caught.value.reason == "wrong_checksum"
    assert s3.world.snapshot() == before


@pytest.mark.parametrize("fault", ["errors", "cuts"])
def test_503_and_bodies_cut_short_are_survived(s3, fault):
    """Some of them; each fired, and what was loaded is whole."""
    setattr(s3.faults, fault, 4)
    assert load(s3.settings, NEW).action == "loaded"
    assert s3.faults.fired == 4
    assert verify_host(s3.settings, NEW).ok


def test_503_for_ever_is_a_clear_error(s3, monkeypatch):
    """Never a part of a generation; the message names the object."""
    monkeypatch.setattr(retry, "PAUSES_S", ())  # the client itself asks for 6 s
    s3.faults.errors = 10_000
    before = s3.world.snapshot()
    with pytest.raises(ServiceError, match=r"lake/generations/.*\.sst: failed: "):
        load(s3.settings, NEW)
    assert s3.faults.fired >= 2
    assert s3.world.snapshot() == before
