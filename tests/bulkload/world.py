"""A host in a temporary directory, and generations published beside it."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from impressions.core.spec import DAY_MS
from impressions.formats import sealed
from impressions.formats.generation_paths import MANIFEST, HostPaths, generation_id
from impressions.formats.manifest import Manifest, decode, encode
from impressions.settings.model import Settings
from tests.generations import CUTOVER_MS, blocks_of, publish, random_events

WEEK_MS = 7 * DAY_MS
OLD_MS, NEW_MS = CUTOVER_MS - WEEK_MS, CUTOVER_MS
OLD, NEW = generation_id(OLD_MS), generation_id(NEW_MS)
PARTITIONS = 2
EVENTS = random_events(seed=11, profiles=24, per_profile=12)


@dataclass
class World:
    """Where a test's generations are published, and its host."""

    settings: Settings

    @property
    def published(self) -> Path:
        return Path(self.settings.generations)

    @property
    def paths(self) -> HostPaths:
        return HostPaths(self.settings.host_dir)

    def publish(self, cutover_ms: int, **options) -> Manifest:
        blocks = options.pop("blocks", None) or blocks_of(EVENTS, cutover_ms)
        return publish(self.published, blocks, cutover_ms, **{"partitions": PARTITIONS, **options})

    def with_host(self, **changes) -> Settings:
        """The same settings with other keys in the host's section."""
        host = self.settings.host.model_copy(update=changes)
        return self.settings.model_copy(update={"host": host})

    def manifest(self, generation: str) -> Manifest:
        return decode((self.published / generation / MANIFEST).read_bytes())

    def rewrite(self, generation: str, **fields) -> Manifest:
        """Seal another manifest: what a wrong exporter could have written."""
        manifest = replace(self.manifest(generation), **fields)
        (self.published / generation / MANIFEST).write_bytes(encode(manifest))
        return manifest

    def rewrite_file(self, generation: str, index: int, **fields) -> None:
        """The same for one file entry."""
        files = list(self.manifest(generation).files)
        files[index] = replace(files[index], **fields)
        self.rewrite(generation, files=tuple(files))

    def sst(self, generation: str, index: int = 0) -> Path:
        return self.published / generation / self.manifest(generation).files[index].path

    def snapshot(self) -> dict[str, str]:
        """Every path of the host's directory with the digest of its bytes."""
        return {
            str(path.relative_to(self.settings.host_dir)): hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
            if path.is_file()
            else "directory"
            for path in sorted(self.settings.host_dir.rglob("*"))
        }

    def active(self) -> str:
        return sealed.unseal(self.paths.current.read_bytes(), "CURRENT")["generation"]
