"""Seeded mutations of a published generation: of SST files, of the manifest, of the directory.

    case = draw(rng, world)      a `Mutation`: its kind, the file it spoils, how to do it
    case.spoil()                 now it lies there so

Two families of manifests: `torn` is changed as bytes, `edited` is sealed again afterwards, as a
writer with a defect would have written it. Each kind is drawn as often as any other.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from impressions.formats import sealed
from impressions.formats.generation_paths import MANIFEST
from impressions.formats.manifest import Manifest, SstFile
from tests.bulkload.world import NEW, NEW_MS, OLD, World

INFORMATION = {
    "entries", "created_ms", "raw_snapshot_id", "ema_snapshot_id", "digest", "history_until_ms",
    "compared",
}  # fmt: skip
"""Fields that say nothing about the rows: where they came from, what `verify` compares."""


@dataclass(frozen=True)
class Mutation:
    """One spoiled generation.

    Attributes:
        kind: what was done.   names: one of them must be in the message of a refusal.
        is_void: loading it anyway is right, as long as what was loaded is what was published.
        spoil: does it.
    """

    kind: str
    names: tuple[str, ...]
    spoil: Callable[[], None]
    is_void: bool = False


def draw(rng: random.Random, world: World) -> Mutation:
    """Any kind, with equal chances."""
    kind = rng.choice([*OF_BYTES, *OF_FILES, *OF_MANIFESTS])
    if kind in OF_BYTES:
        return _of_bytes(rng, world, kind)
    if kind in OF_FILES:
        return OF_FILES[kind](rng, world, kind)
    return _of_manifest(rng, world, kind)


# ---- bytes of one file, an SST file or the manifest


def _flip(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _extend(rng: random.Random, data: bytes) -> bytes:
    return data + (bytes(rng.randint(1, 99)) if rng.random() < 0.5 else rng.randbytes(9))


def _zero(rng: random.Random, data: bytes) -> bytes:
    """A page or a whole file that was never written."""
    at = rng.choice([0, rng.randrange(len(data))])
    return data[:at] + bytes(len(data) - at)


def _repeat(rng: random.Random, data: bytes) -> bytes:
    """A piece written twice, in the place of its neighbour."""
    length = rng.randint(1, len(data) // 2)
    at = rng.randrange(len(data) - 2 * length + 1)
    return data[: at + length] + data[at : at + length] + data[at + 2 * length :]


OF_BYTES: dict[str, Callable[[random.Random, bytes], bytes]] = {
    f"{what} {of}": change
    for of in ("an SST file", "the manifest")
    for what, change in (
        ("flip a bit of", _flip), ("truncate", _truncate), ("extend", _extend),
        ("zero", _zero), ("repeat a piece of", _repeat),
    )
}  # fmt: skip


def _of_bytes(rng: random.Random, world: World, kind: str) -> Mutation:
    of_manifest = kind.endswith("manifest")
    path = _manifest_path(world) if of_manifest else world.sst(NEW, _any_file(rng, world))
    data = path.read_bytes()
    mutant = OF_BYTES[kind](rng, data)
    return Mutation(kind, (path.name,), partial(path.write_bytes, mutant), is_void=mutant == data)


# ---- whole files


def _swap_two(rng: random.Random, world: World, kind: str) -> Mutation:
    """Two files in each other's place. Where the manifest vouches for both, and they are of one
    shard, the shard holds the same rows as before."""
    one, other = rng.sample(range(len(world.manifest(NEW).files)), 2)
    paths = [world.sst(NEW, i) for i in (one, other)]

    def spoil() -> None:
        a, b = (path.read_bytes() for path in paths)
        paths[0].write_bytes(b)
        paths[1].write_bytes(a)
        if "vouched" in kind:
            files = list(world.manifest(NEW).files)
            for i, path in zip((one, other), paths, strict=True):
                files[i] = SstFile(**asdict(files[i]) | _vouching(path))
            world.rewrite(NEW, files=tuple(files))

    is_void = "vouched" in kind and paths[0].parent == paths[1].parent
    return Mutation(kind, tuple(map(_place, paths)), spoil, is_void)


def _of_another(rng: random.Random, world: World, kind: str) -> Mutation:
    """The same shard's file of last week."""
    i = _any_file(rng, world)
    path = world.sst(NEW, i)

    def spoil() -> None:
        shutil.copy(world.sst(OLD, i), path)
        if "vouched" in kind:
            world.rewrite_file(NEW, i, **_vouching(path))

    return Mutation(kind, (_place(path),), spoil)


def _missing(rng: random.Random, world: World, kind: str) -> Mutation:
    path = world.sst(NEW, _any_file(rng, world))
    if "shard" in kind:
        return Mutation(kind, (path.parent.name,), partial(shutil.rmtree, path.parent))
    return Mutation(kind, (_place(path),), path.unlink)


def _extra(rng: random.Random, world: World, kind: str) -> Mutation:
    """A file that no manifest names: an attempt that lost. Nobody reads it."""
    path = world.sst(NEW, _any_file(rng, world))
    target = path.with_name(f"99999-{rng.randbytes(4).hex()}.sst")
    return Mutation(kind, (), partial(shutil.copy, path, target), is_void=True)


def _stale(rng: random.Random, world: World, kind: str) -> Mutation:
    """The manifest of last week, or of an attempt before this one."""
    if "week" in kind:
        source = world.published / OLD / MANIFEST
        return Mutation(kind, (OLD,), partial(shutil.copy, source, _manifest_path(world)))
    i = _any_file(rng, world)
    changed = {"sha256": hashlib.sha256(rng.randbytes(8)).hexdigest()}
    stale = partial(world.rewrite_file, NEW, i, **changed)
    return Mutation(kind, (_place(world.sst(NEW, i)),), stale)


OF_FILES: dict[str, Callable[[random.Random, World, str], Mutation]] = {
    "swap two files": _swap_two,
    "swap two files, vouched for": _swap_two,
    "file of another generation": _of_another,
    "file of another generation, vouched for": _of_another,
    "missing file": _missing,
    "missing shard": _missing,
    "extra file": _extra,
    "stale manifest, of last week": _stale,
    "stale manifest, of another attempt": _stale,
}


# ---- fields of the manifest, sealed again


def _other_value(rng: random.Random, value: object) -> object:
    """Of the same type, or of another."""
    if rng.random() < 0.3:
        return rng.choice([None, 1.5, "x", [], {}, True, -1, 1 << 70, "\ud800", "../../x", [1]])
    if isinstance(value, int):
        steps = (1, -1, 1000, -value, rng.randrange(1, 1 << 40), (1 << 63) - 1)
        return value + rng.choice(steps)
    text = str(value)
    at = rng.randrange(len(text))
    other = [text[:at], text + text[-1], text[:at] + rng.choice("0f_z") + text[at + 1 :], ""]
    return rng.choice(other)


_LEFT_OUT = {"accepted": [], "compared": "shard 1: the same"}
"""Fields that are left out where there is nothing to say."""


def _edit(rng: random.Random, body: dict[str, Any], field: str) -> bool:
    """Another value, or none at all; whether it is void."""
    if rng.random() < 0.1:
        body.pop(field, None)
        return field in ("history_until_ms", "accepted", "compared")  # not in every manifest
    before = body.get(field, _LEFT_OUT.get(field))
    body[field] = _other_value(rng, before)
    same_type = type(before) is type(body[field])
    of_ours = not isinstance(body[field], int) or abs(body[field]) < 1 << 63
    is_one = {"digest": _is_digest, "history_until_ms": _is_history}.get(field, lambda _: True)
    informs = field in INFORMATION and same_type and of_ours and is_one(body[field])
    return informs or (same_type and before == body[field])


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


def _is_history(value: int) -> bool:
    """Nothing, or a time after the cutover."""
    return value == 0 or value > NEW_MS


def _of_manifest(rng: random.Random, world: World, kind: str) -> Mutation:
    body = sealed.unseal(_manifest_path(world).read_bytes(), MANIFEST)
    files, i = body["files"], _any_file(rng, world)
    void = False
    if kind.startswith("edit file."):
        void = _edit(rng, files[i], kind.removeprefix("edit file."))
    elif kind.startswith("edit "):
        void = _edit(rng, body, kind.removeprefix("edit "))
    elif kind == "list a file twice":
        files.append({**files[i]})
    elif kind == "list a file under two shards":
        files.append({**files[i], "shard": 1 - files[i]["shard"]})
    elif kind == "list a file less":
        del files[i]
    elif kind == "list the files in another order":
        rng.shuffle(files)
        void = True
    elif kind == "add a field":
        rng.choice([body, files[i]])["comment"] = "x"
    elif kind == "another format version":
        body["format"] = rng.choice([0, 2, 9, -1, "1", None, 1.0])
    data = sealed.seal(body)
    if kind == "white space":
        data = data.replace(b",", b", ", rng.randint(1, 99))
    return Mutation(kind, (MANIFEST, NEW), partial(_manifest_path(world).write_bytes, data), void)


OF_MANIFESTS = (
    *(f"edit {field.name}" for field in fields(Manifest)),
    *(f"edit file.{field.name}" for field in fields(SstFile)),
    "list a file twice", "list a file under two shards", "list a file less",
    "list the files in another order", "add a field", "another format version", "white space",
)  # fmt: skip


def _any_file(rng: random.Random, world: World) -> int:
    return rng.randrange(len(world.manifest(NEW).files))


def _manifest_path(world: World) -> Path:
    return world.published / NEW / MANIFEST


def _place(path: Path) -> str:
    """As messages name it."""
    return f"{path.parent.name}/{path.name}"


def _vouching(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
