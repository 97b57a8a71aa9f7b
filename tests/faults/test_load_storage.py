"""Loading from a storage that fails: S3 over real TCP (moto on the loopback) with faults put in
front of it, and a file layer that fails at random."""

import logging
import os
import random
import threading
from types import SimpleNamespace

import pytest

from bulkload import retry
from bulkload.gc import gc
from bulkload.listing import listing
from bulkload.load import load
from bulkload.published_generations import PublishedGenerations
from bulkload.verify import verify_host, verify_published
from impressions.core.errors import Refused, ServiceError
from impressions.formats.generation_paths import MANIFEST
from tests.bulkload.world import NEW, OLD
from tests.faults.size import scaled

pytest.importorskip("moto.server", reason="moto[server] is not installed")
BUCKET = "lake"


class Faults:
    """WSGI in front of moto: the next `errors` GETs of an SST answer 503, `cuts` end half way."""

    def __init__(self, app):
        self._app, self.errors, self.cuts, self.drips = app, 0, 0, 0
        self.fired = 0
        self.patience = threading.Event()

    def __call__(self, environ, start_response):
        body_wanted = environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith(".sst")
        if body_wanted and self.errors:
            self.errors -= 1
            self.fired += 1
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        if body_wanted and self.drips:
            self.drips -= 1
            self.fired += 1
            return self.dripping(b"".join(self._app(environ, start_response)))
        parts = self._app(environ, start_response)
        if body_wanted and self.cuts:
            self.cuts -= 1
            self.fired += 1
            body = b"".join(parts)
            return [body[: len(body) // 2]]
        return parts

    def dripping(self, body):
        """The same bytes in many small pieces, each a moment after the one before."""
        step = max(1, len(body) // 20)
        for at in range(0, len(body), step):
            self.patience.wait(0.02)
            yield body[at : at + step]


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
    server.faults.errors = server.faults.cuts = server.faults.drips = server.faults.fired = 0
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


@pytest.mark.parametrize("fault", ["errors", "cuts", "drips"])
def test_503_cut_and_slow_bodies_are_survived(s3, fault):
    """Some of them; each fired, and the loaded generation is complete."""
    times = 2 if fault == "drips" else 4
    setattr(s3.faults, fault, times)
    assert load(s3.settings, NEW).action == "loaded"
    assert s3.faults.fired == times
    assert verify_host(s3.settings, NEW).ok


@pytest.mark.slow
def test_503_for_ever_is_a_clear_error(s3, monkeypatch):
    """Never a part of a generation; the message names the object."""
    monkeypatch.setattr(retry, "PAUSES_S", ())  # the client itself asks for 6 s
    s3.faults.errors = 10_000
    before = s3.world.snapshot()
    with pytest.raises(ServiceError, match=r"lake/generations/.*\.sst: failed: "):
        load(s3.settings, NEW)
    assert s3.faults.fired >= 2
    assert s3.world.snapshot() == before


class Flaky:
    """A file layer in front of a local one: each call fails by the seeded plan, or not."""

    def __init__(self, filesystem, rng, share):
        self._fs, self._rng, self._share, self.fired = filesystem, rng, share, 0

    def _trouble(self, what):
        if self._rng.random() < self._share:
            self.fired += 1
            raise OSError(self._rng.choice(["503 Slow Down", "reset by peer", "timed out"]) + what)

    def get_file_info(self, what):
        self._trouble(" (looking)")
        return self._fs.get_file_info(what)

    def open_input_stream(self, path):
        self._trouble(" (opening)")
        return FlakyStream(self._fs.open_input_stream(path), self)


class FlakyStream:
    """A stream that breaks, or ends too early."""

    def __init__(self, stream, flaky):
        self._stream, self._flaky = stream, flaky

    def readinto(self, buffer):
        self._flaky._trouble(" (reading)")
        data = self._stream.read(min(len(buffer), 4000))
        if data and self._flaky._rng.random() < self._flaky._share / 4:
            self._flaky.fired += 1
            data = data[: len(data) // 2]
        buffer[: len(data)] = data
        return len(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_storage_that_fails_at_random_gives_all_of_a_generation_or_nothing(
    world, monkeypatch, share
):
    """Errors, resets and short reads in any call: loaded completely, or a clear error and the host
    as before. A short read in the middle of a stream shows in the length or in the checksum."""
    from pyarrow import fs

    monkeypatch.setattr(retry, "PAUSES_S", (0.0, 0.0, 0.0))
    seed = int(os.environ.get("IMPRESSIONS_TEST_SEED", "29"))
    flaky = Flaky(fs.LocalFileSystem(), random.Random(seed), share)
    published = PublishedGenerations(flaky, str(world.published), "flaky://generations")
    before, outcomes = world.snapshot(), {"loaded": 0, "failed": 0}
    for number in range(scaled(15, 1_000)):
        where = f"seed {seed}, load {number}"
        failure = None
        try:
            load(world.settings, NEW, published=published)
        except (ServiceError, Refused) as error:
            failure = error
        outcomes["loaded" if failure is None else "failed"] += 1
        if failure is None:
            assert verify_host(world.settings, NEW).ok, where
            gc(world.settings, generation=NEW)
        else:
            assert "flaky://generations" in failure.message, where
        assert world.snapshot().keys() - {"loading"} == before.keys() - {"loading"}, where
    print(f"share {share}: {flaky.fired} failures injected, {outcomes}")
    assert flaky.fired > 10
    assert outcomes["loaded"] > 0 or share == 0.5
