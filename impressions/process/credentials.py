"""What a command shows a server: the token of a file, and the CA that it trusts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from impressions.core.errors import SettingsError
from impressions.settings.paths import expanded

if TYPE_CHECKING:
    import grpc


def token_of(path: Path | None) -> str | None:
    """The first token of the file; a server's own file may hold several."""
    if path is None:
        return None
    tokens = _file("--token-file", path).decode(errors="replace").split()
    if not tokens:
        raise SettingsError(f"--token-file {path}: empty, expected a token")
    return tokens[0]


def tls_of(ca: Path | None) -> grpc.ChannelCredentials | None:
    """None without a CA: plaintext."""
    if ca is None:
        return None
    import grpc

    return grpc.ssl_channel_credentials(_file("--tls-ca", ca))


def _file(flag: str, path: Path) -> bytes:
    try:
        return expanded(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{flag} {path}: cannot be read ({error.strerror})") from None
