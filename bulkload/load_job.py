"""The job of one load: a published generation, its manifest, and the host it goes to."""

from __future__ import annotations

from dataclasses import dataclass

from bulkload.compatibility import check_compatible
from bulkload.host import Host
from bulkload.loaded_generations import LATEST, checked_name
from bulkload.published_generations import PublishedGenerations, decode_manifest
from impressions.formats.generation_paths import MANIFEST
from impressions.formats.manifest import Manifest, SstFile
from impressions.settings.model import Settings


@dataclass(frozen=True)
class LoadJob:
    """A generation that this host may load; files, bytes and profiles are of its shards."""

    published: PublishedGenerations
    host: Host
    settings: Settings
    manifest: Manifest
    manifest_bytes: bytes

    @property
    def generation(self) -> str:
        return self.manifest.generation

    @property
    def files(self) -> tuple[SstFile, ...]:
        return self.manifest.of_shards(self.settings.host_shards)

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def profiles(self) -> int:
        return sum(file.rows for file in self.files)


def job_of(settings: Settings, generation: str, published: PublishedGenerations) -> LoadJob:
    """Step 1 of a load: read the manifest of the generation, or of the latest, and check it.

    Raises:
        Refused: the manifest is missing or damaged, or does not fit this host.
        NotReady: nothing is published.
        ServiceError: the storage kept failing.
    """
    host = Host(settings.host_dir)
    if generation == LATEST:
        generation = published.newest(skip=host.generations.rolled_back())
    generation = checked_name(generation)
    data = published.manifest_bytes(generation)
    manifest = decode_manifest(data, published.name(generation, MANIFEST))
    check_compatible(manifest, generation, settings.spec, settings.partitions)
    return LoadJob(published, host, settings, manifest, data)
