"""Which server a command asks, and what it shows it: the token of a file, the CA that it trusts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impressions.core.errors import SettingsError
from impressions.settings.model import Settings
from impressions.settings.paths import expanded

if TYPE_CHECKING:
    import grpc

    from impressions.client import ImpressionsClient

# The flags of every verb that asks a server.
Address = Annotated[str | None, typer.Option(help="host:port.", show_default="serving.listen")]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with the token.", show_default="serving.token_file")
]
TlsCa = Annotated[
    Path | None, typer.Option(help="PEM CA of the server; turns TLS on.", show_default=False)
]


def asked(
    settings: Settings,
    address: str | None,
    timeout_s: float,
    token_file: Path | None,
    tls_ca: Path | None,
    **more: Any,
) -> ImpressionsClient:
    """A client of the server that the flags name; the settings' where they name none."""
    from impressions.client import ImpressionsClient

    return ImpressionsClient(
        address or settings.serving.listen,
        timeout_s=timeout_s,
        token=token_of(token_file or settings.serving.token_file),
        tls=tls_of(tls_ca),
        **more,
    )


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
