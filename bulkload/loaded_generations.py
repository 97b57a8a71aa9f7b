"""The generations on this host: which are loaded, their records, which were rolled back.

generations/<id>/manifest.json, loaded.json, db/      a loaded generation
generations/<id>/seam.json                            what its activation found
generations/<id>/checked.json                         when its bytes were last read
generations/<id>/ROLLED_BACK                          the mark; it may outlive the other files
"""

from __future__ import annotations

from dataclasses import dataclass

from bulkload.files import write_durably
from bulkload.own_directories import entries, is_ours
from impressions.core.errors import CorruptData, NotReady
from impressions.formats import manifest as manifests
from impressions.formats import sealed
from impressions.formats.generation_paths import HostPaths, cutover_of, generation_id
from impressions.formats.manifest import Manifest
from impressions.formats.pointer import Loaded
from impressions.formats.seam_record import SeamRecord

LATEST = "latest"
"""On the command line: the newest generation that was not rolled back on this host."""


@dataclass(frozen=True)
class LoadedGeneration:
    """A loaded generation, its two records read and proved to belong together."""

    generation: str
    manifest: Manifest
    manifest_bytes: bytes
    record: Loaded
    rolled_back: bool


def checked_name(generation: str) -> str:
    """The name, if it is that of a generation. Raises UsageError: a name becomes a path."""
    return generation_id(cutover_of(generation))


class LoadedGenerations:
    """generations/ of one data directory."""

    def __init__(self, paths: HostPaths):
        self._paths = paths

    def names(self) -> list[str]:
        """Every directory that is named like a generation, oldest first."""
        return [p.name for p in entries(self._paths.generations, follow=True) if is_ours(p)]

    def is_loaded(self, generation: str) -> bool:
        """Whether a load of it was finished, even if its files were damaged since."""
        return self._paths.loaded(generation).exists()

    def read(self, generation: str) -> LoadedGeneration:
        """A loaded generation.

        Raises:
            NotReady: it is not loaded.
            CorruptData: one of its records is damaged, missing, or belongs to another generation.
        """
        hint = f"impressions bulkload load {generation}"
        if not self.is_loaded(generation):
            raise NotReady(
                f"generation {generation} is not loaded on this host",
                hint=hint,
                reason="not_loaded",
            )
        where = self._paths.generation(generation)
        try:
            record = Loaded.decode(self._paths.loaded(generation).read_bytes())
            data = self._paths.manifest(generation).read_bytes()
            manifest = manifests.decode(data)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise CorruptData(f"{error.filename}: not a file", hint=f"{hint} --again") from None
        except CorruptData as error:
            raise CorruptData(f"{where}: {error.message}", hint=f"{hint} --again") from None
        if (record.generation, manifest.generation) != (generation, generation):
            raise CorruptData(
                f"{where}: holds records of {record.generation} and {manifest.generation}",
                hint=f"{hint} --again",
            )
        return LoadedGeneration(generation, manifest, data, record, self.is_rolled_back(generation))

    def usable(self) -> list[str]:
        """Loaded and not rolled back, oldest first."""
        return [n for n in self.names() if self.is_loaded(n) and not self.is_rolled_back(n)]

    def is_rolled_back(self, generation: str) -> bool:
        """Whether it is marked as rolled back."""
        return self._paths.rolled_back(generation).exists()

    def rolled_back(self) -> set[str]:
        """All generations that are marked as rolled back."""
        return {name for name in self.names() if self.is_rolled_back(name)}

    def mark_rolled_back(self, generation: str, target: str, at_ms: int) -> None:
        """Mark a generation as rolled back to `target`."""
        self._paths.generation(generation).mkdir(parents=True, exist_ok=True)
        body = {"generation": generation, "rolled_back_to": target, "rolled_back_ms": at_ms}
        write_durably(self._paths.rolled_back(generation), sealed.seal(body))

    def seam(self, generation: str) -> SeamRecord | None:
        """What its last activation found when it compared; None if it never was activated.

        Raises:
            CorruptData: the record is damaged.
        """
        try:
            return SeamRecord.decode(self._paths.seam(generation).read_bytes())
        except FileNotFoundError:
            return None
        except CorruptData as error:
            where = self._paths.seam(generation)
            raise CorruptData(f"{where}: {error.message}", hint=error.hint) from None

    def unmark(self, generation: str) -> None:
        """Remove the mark, if there is one."""
        self._paths.rolled_back(generation).unlink(missing_ok=True)
