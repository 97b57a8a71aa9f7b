"""Storage that fails, is slow or ends early: bounded retries, then a clear error, never a part."""

import io

import pytest

from bulkload import retry
from bulkload.load import load
from bulkload.parallel import THREADS
from bulkload.published_generations import PublishedGenerations, open_published
from impressions.core.errors import ServiceError, SettingsError
from impressions.formats.generation_paths import MANIFEST
from tests.bulkload.world import NEW, OLD


class FaultyStream(io.RawIOBase):
    """Ends after `keep` bytes, or breaks there."""

    def __init__(self, data, keep, error):
        self._data, self._keep, self._error, self._at = data, keep, error, 0

    def readinto(self, buffer):
        chunk = self._data[self._at : self._keep][: len(buffer)]
        if not chunk and self._error:
            raise self._error
        buffer[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)


class FaultyFilesystem:
    """A pyarrow filesystem whose first `times` calls of one kind fail."""

    def __init__(self, inner, kind, times, suffix=".sst"):
        self._inner, self._kind, self.left, self._suffix = inner, kind, times, suffix
        self.fired = 0

    def _fires(self, path):
        if self.left and str(path).endswith(self._suffix):
            self.left -= 1
            self.fired += 1
            return True
        return False

    def get_file_info(self, what):
        if self._kind == "look" and isinstance(what, str) and self._fires(what):
            raise OSError("503 Slow Down")
        return self._inner.get_file_info(what)

    def open_input_stream(self, path):
        if self._kind == "open" and self._fires(path):
            raise OSError("connection reset")
        stream = self._inner.open_input_stream(path)
        if self._kind in ("break", "short") and self._fires(path):
            data = stream.read()
            error = ConnectionResetError("reset") if self._kind == "break" else None
            return FaultyStream(data, len(data) * 2 // 3, error)
        return stream


@pytest.fixture
def no_pause(monkeypatch):
    """Three retries as usual, but without pauses."""
    monkeypatch.setattr(retry, "PAUSES_S", (0.0, 0.0, 0.0))


def faulty(world, kind, times, suffix=".sst"):
    good = open_published(world.settings.generations)
    return PublishedGenerations(
        FaultyFilesystem(good.filesystem, kind, times, suffix), good.base, good.uri
    )


@pytest.mark.parametrize("kind", ["look", "open", "break", "short"])
def test_a_storage_that_fails_for_a_moment_is_retried(world, no_pause, kind):
    """Two failures, then it works: the generation is complete."""
    source = faulty(world, kind, times=2)
    assert load(world.settings, NEW, published=source).profiles == 24
    assert source.filesystem.fired == 2


@pytest.mark.parametrize("kind", ["look", "open", "break", "short"])
def test_a_storage_that_keeps_failing_is_a_clear_error(world, no_pause, kind):
    """Four attempts at each file that is under way; the first is named; nothing on the host
    changed."""
    source = faulty(world, kind, times=1000)
    before = world.snapshot()
    with pytest.raises(ServiceError) as caught:
        load(world.settings, NEW, published=source)
    assert (caught.value.reason, caught.value.exit_code) == ("storage", 8)
    assert world.sst(NEW).name in caught.value.message
    assert 4 <= source.filesystem.fired <= 4 * THREADS
    assert world.snapshot() == before


@pytest.mark.parametrize("kind", ["look", "open", "break", "short"])
def test_the_read_of_a_manifest_is_retried_too(world, no_pause, kind):
    """Two failures; an incomplete manifest is never used."""
    source = faulty(world, kind, times=2, suffix=MANIFEST)
    assert load(world.settings, NEW, published=source).action == "loaded"
    assert source.filesystem.fired == 2


def test_pauses_grow_and_end():
    """The attempts are counted, and the pauses are those declared."""
    pauses, attempts = [], []

    def fails():
        attempts.append(1)
        raise OSError("no")

    with pytest.raises(ServiceError, match="failed in 4 attempts, last with: no"):
        retry.retrying("reading x", fails, pause=pauses.append)
    assert (len(attempts), tuple(pauses)) == (4, retry.PAUSES_S)
    assert list(pauses) == sorted(pauses)


@pytest.mark.parametrize(
    ("fault", "becomes"),
    [(FileNotFoundError, FileNotFoundError), (PermissionError, ServiceError)],
)
def test_an_error_that_will_not_change_is_not_retried(fault, becomes):
    """A file that does not exist, or that we may not read."""
    attempts = []

    def fails():
        attempts.append(1)
        raise fault("x")

    with pytest.raises(becomes):
        retry.retrying("reading x", fails, pause=lambda _: None)
    assert len(attempts) == 1


@pytest.mark.parametrize("uri", ["ftp://host/x", "gopher://x"])
def test_an_unknown_address_is_a_setting_to_fix(uri):
    """The message contains the address; the hint contains an example."""
    with pytest.raises(SettingsError, match="generations_uri") as caught:
        open_published(uri)
    assert "s3://" in caught.value.hint


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_path_and_its_file_uri_are_the_same_directory(world, form):
    """Both list the same generations."""
    uri = form.format(world.settings.generations)
    assert open_published(uri).generations() == [OLD, NEW]
