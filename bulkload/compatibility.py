"""Compatibility: the checks of a manifest before a byte of its generation is copied.

It must be of the generation that was asked for, made with the spec, partitions and partitioner of
this host (`manifest.check_fits`), and consistent in itself. Its seal proves only that it was not
changed after it was written.
"""

from __future__ import annotations

import re
from itertools import pairwise

from impressions.core.errors import Refused, UsageError
from impressions.core.spec import Spec
from impressions.formats.generation_paths import cutover_of, generation_id, shard_dir
from impressions.formats.manifest import Manifest, SstFile, check_fits

_FILE_NAME = re.compile(r"[A-Za-z0-9_.-]+\.sst")


def check_compatible(manifest: Manifest, generation: str, spec: Spec, partitions: int) -> None:
    """Refuse a manifest that does not fit this host.

    Raises:
        Refused: `wrong_generation`, `wrong_spec`, `wrong_partitions`, `wrong_partitioner`,
            `wrong_history`, `corrupt_manifest`, `wrong_keys` or `wrong_rows`.
    """
    named = (manifest.generation, _named_by(manifest.cutover_ms))
    if named != (generation, generation):
        raise _refused(
            generation,
            f"its manifest names generation {named[0]} and the cutover of {named[1]}",
            "wrong_generation",
        )
    if 0 != manifest.history_until_ms <= manifest.cutover_ms:
        raise _refused(
            generation,
            f"its history_until_ms is {manifest.history_until_ms}, expected 0 or later than the "
            f"cutover {manifest.cutover_ms}",
            "wrong_history",
        )
    check_fits(manifest, spec, partitions)
    for file in manifest.files:
        _check_file(generation, file, partitions)
    for one, other in pairwise(sorted(manifest.files, key=lambda f: (f.shard, f.min_key))):
        if one.shard == other.shard and other.min_key <= one.max_key:
            raise _refused(
                generation, f"key ranges of {one.path} and {other.path} overlap", "wrong_keys"
            )
    if (rows := sum(file.rows for file in manifest.files)) != manifest.profiles:
        raise _refused(
            generation, f"files of {rows} rows, expected {manifest.profiles} profiles", "wrong_rows"
        )


def _named_by(cutover_ms: int) -> str:
    """The name of the generation with this cutover, as text for a message."""
    try:
        name = generation_id(cutover_ms)
        return name if cutover_of(name) == cutover_ms else f"none ({cutover_ms} ms)"
    except UsageError:
        return f"none ({cutover_ms} ms)"


def _check_file(generation: str, file: SstFile, partitions: int) -> None:
    directory, _, name = file.path.partition("/")
    if directory != shard_dir(file.shard) or not _FILE_NAME.fullmatch(name):
        raise _refused(
            generation,
            f"path {file.path!r}, expected {shard_dir(file.shard)}/<name>.sst",
            "corrupt_manifest",
        )
    if not 0 <= file.shard < partitions:
        raise _refused(
            generation,
            f"{file.path} is of shard {file.shard}, expected 0..{partitions - 1}",
            "corrupt_manifest",
        )
    if file.rows <= 0 or file.size_bytes <= 0:
        raise _refused(
            generation,
            f"{file.path} has {file.rows} rows in {file.size_bytes} bytes, expected some of both",
            "wrong_rows",
        )
    if file.min_key > file.max_key:
        raise _refused(
            generation,
            f"{file.path} has keys from {file.min_key} to {file.max_key}, expected ascending",
            "wrong_keys",
        )


def _refused(generation: str, what: str, reason: str) -> Refused:
    return Refused(
        f"generation {generation}: {what}",
        hint="impressions export --force; this manifest was written wrong, not damaged",
        reason=reason,
    )
