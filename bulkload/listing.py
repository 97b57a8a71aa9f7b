"""List: which generations are published, and which of them fit this host."""

from __future__ import annotations

from bulkload.compatibility import check_compatible
from bulkload.host import Host
from bulkload.published_generations import PublishedGenerations, decode_manifest, open_published
from impressions.core.errors import Refused
from impressions.formats.generation_paths import MANIFEST, cutover_of
from impressions.settings.model import Settings
from impressions.status.facts import Listed


def listing(
    settings: Settings, published: PublishedGenerations | None = None, *, since: str = ""
) -> list[Listed]:
    """Every published directory, oldest first; with `since`, none that is older than this one.

    Raises:
        ServiceError: the storage kept failing.   SettingsError: `generations_uri` is invalid.
    """
    source = published or open_published(settings.generations)
    host = Host(settings.host_dir)
    pointer = host.whole_pointer()  # `status` explains a damaged one
    active = pointer.generation if pointer else None
    names = [name for name in source.generations() if name >= since]
    return [_listed(source, name, host, active, settings) for name in names]


def _listed(
    source: PublishedGenerations, name: str, host: Host, active: str | None, settings: Settings
) -> Listed:
    manifest, problem, state = None, None, "complete"
    try:
        data = source.manifest_bytes(name)
        state = "damaged"
        manifest = decode_manifest(data, source.name(name, MANIFEST))
        state = "complete"
        check_compatible(manifest, name, settings.spec, settings.partitions)
    except Refused as error:
        problem = error.message
        if error.reason == "missing_manifest":
            state = "incomplete"
    own_files = manifest.of_shards(settings.host_shards) if manifest else ()
    return Listed(
        generation=name,
        state=state,
        cutover_ms=cutover_of(name),
        profiles=manifest.profiles if manifest else None,
        entries=manifest.entries if manifest else None,
        size_bytes=manifest.size_bytes if manifest else None,
        host_bytes=sum(file.size_bytes for file in own_files) if manifest else None,
        fits=problem is None,
        problem=problem,
        loaded=host.generations.is_loaded(name),
        active=name == active,
        rolled_back=host.generations.is_rolled_back(name),
    )
