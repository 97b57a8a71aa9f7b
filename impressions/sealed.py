"""Sealed JSON: small files that refuse to be read after a byte of them changed.

    file := canonical JSON of an object that holds "checksum", and a newline
    checksum := sha256, hex, of the canonical JSON of the object without it, and a newline

Canonical: sorted keys, no spaces, ASCII. A file must equal its own canonical form byte for byte, so
a flipped byte anywhere is found, be it in a number, a name or the white space.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from impressions.errors import CorruptData


def seal(body: dict[str, Any]) -> bytes:
    """The bytes of the file that holds `body` (JSON types only)."""
    return _canonical({**body, "checksum": _checksum(body)})


def unseal(data: bytes, name: str) -> dict[str, Any]:
    """The object in a sealed file, without its checksum.

    Raises:
        CorruptData: not JSON, not an object, not canonical, or the checksum does not match.
    """
    try:
        body = json.loads(data)
        canonical = _canonical(body) == data
        found = body.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptData(f"{name}: not a sealed JSON file ({error})") from None
    if not canonical or found != _checksum(body):
        raise CorruptData(f"{name}: checksum does not match; the file was damaged or edited")
    return dict(body)


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


def _canonical(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")
