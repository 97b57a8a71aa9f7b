"""Published generations: directories on any filesystem that pyarrow knows, or on a local path.

    <generations>/<id>/manifest.json          written last
    <generations>/<id>/shard=<n>/*.sst

It only reads. A directory without a manifest is no generation: an export is still writing it, or
was killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bulkload.files import chunks_of
from bulkload.retry import retrying
from impressions.core.errors import (
    CorruptData,
    FormatVersionError,
    NotReady,
    Refused,
    SettingsError,
)
from impressions.formats import manifest as manifests
from impressions.formats.generation_paths import MANIFEST, is_generation
from impressions.formats.manifest import Manifest


@dataclass(frozen=True)
class PublishedGenerations:
    """The directory of all generations.

    Attributes:
        filesystem: a pyarrow.fs.FileSystem.   base: path of the directory on it.
        uri: the directory as the settings name it, for messages.
    """

    filesystem: Any
    base: str
    uri: str

    def generations(self) -> list[str]:
        """Names of all directories that can be generations, oldest first."""
        from pyarrow import fs

        def listed() -> list[Any]:
            selector = fs.FileSelector(self.base, allow_not_found=True)
            return list(self.filesystem.get_file_info(selector))

        infos = retrying(f"listing {self.uri}", listed)
        names = (info.base_name for info in infos if info.type == fs.FileType.Directory)
        return sorted(name for name in names if is_generation(name))

    def newest(self, skip: set[str]) -> str:
        """The newest generation that is complete and not in `skip`: what `latest` means.

        Raises:
            NotReady: there is none.
        """
        for generation in reversed(self.generations()):
            if generation not in skip and self.size_bytes(generation, MANIFEST) is not None:
                return generation
        left_out = f" that was not rolled back ({', '.join(sorted(skip))})" if skip else ""
        raise NotReady(
            f"{self.uri}: holds no complete generation{left_out}",
            hint="impressions export --logical-date <date>",
            reason="nothing_published",
        )

    def manifest_bytes(self, generation: str) -> bytes:
        """The bytes of a manifest. Raises Refused, `missing_manifest`."""

        name = self.name(generation, MANIFEST)
        if (size_bytes := self.size_bytes(generation, MANIFEST)) is None:
            raise Refused(
                f"{name}: not found, so {generation} is no generation",
                hint="impressions bulkload list; an export that is still running writes it last",
                reason="missing_manifest",
            )

        def read() -> bytes:
            with self.open(generation, MANIFEST) as stream:
                data = b"".join(map(bytes, chunks_of(stream)))
            if len(data) != size_bytes:
                raise OSError(f"the stream ended after {len(data)} of {size_bytes} bytes")
            return data

        return retrying(f"reading {name}", read)

    def size_bytes(self, generation: str, path: str) -> int | None:
        """Length of a file of a generation; None when it is not a file."""
        from pyarrow import fs

        info = retrying(
            f"reading the size of {self.name(generation, path)}",
            lambda: self.filesystem.get_file_info(self._path(generation, path)),
        )
        return int(info.size) if info.type == fs.FileType.File else None

    def open(self, generation: str, path: str) -> Any:
        """A binary stream of one file; the caller retries errors of the filesystem."""
        return self.filesystem.open_input_stream(self._path(generation, path))

    def name(self, generation: str, path: str) -> str:
        """The file as messages name it."""
        return f"{self.uri.partition('?')[0]}/{generation}/{path}"

    def _path(self, generation: str, path: str) -> str:
        return f"{self.base}/{generation}/{path}"


def open_published(uri: str) -> PublishedGenerations:
    """The published generations at a path or URI.

    Raises:
        SettingsError: no filesystem is known by that scheme, or the URI is malformed.
    """
    from pyarrow import ArrowInvalid, fs

    try:
        filesystem, base = retrying(f"opening {uri}", lambda: fs.FileSystem.from_uri(uri))
    except (ArrowInvalid, NotImplementedError) as error:
        raise SettingsError(
            f"setting generations_uri: {uri!r}, expected a path or a URI ({error})",
            hint="for example generations_uri = 's3://bucket/generations' or '/srv/generations'",
        ) from None
    return PublishedGenerations(filesystem, base.rstrip("/"), uri)


def decode_manifest(data: bytes, name: str) -> Manifest:
    """Read a published manifest. Raises Refused: `corrupt_manifest` or `format_version`."""
    hint = "impressions export --force writes it again from the same table"
    try:
        return manifests.decode(data, name)
    except FormatVersionError as error:
        raise Refused(error.message, hint=error.hint, reason="format_version") from None
    except CorruptData as error:
        raise Refused(error.message, hint=hint, reason="corrupt_manifest") from None
