"""Authentication and encryption of calls: a bearer token and TLS, both optional.

The token file holds one token per line, and each of them is valid. To rotate a token, add the new
one, restart the server, move the callers to it, and remove the old one. Every method requires a
token, also reflection and unknown methods; only health checks do not, because probes carry no
secrets. Tokens are compared in constant time and never logged.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc

from impressions.core.errors import NotReady, SettingsError
from impressions.settings.paths import expanded
from impressions.settings.sections.live import Serving
from serving.health import HEALTH_SERVICE
from serving.metrics import CountCode
from serving.refusal import Handler, refusing

NO_TOKEN = NotReady(
    "no valid token, expected the metadata `authorization: Bearer <token>`",
    reason="unauthenticated",
)


class Tokens:
    """The tokens that are valid."""

    def __init__(self, tokens: tuple[str, ...]):
        self._expected = [f"Bearer {token}".encode() for token in tokens]

    def are_in(self, metadata: Iterable[Any]) -> bool:
        """Whether the metadata of a call, pairs of key and value, has exactly one, a valid one."""
        values = [value for key, value in metadata if key == "authorization"]
        value = values[0] if len(values) == 1 else ""
        presented = value if isinstance(value, bytes) else value.encode()
        return any(hmac.compare_digest(presented, expected) for expected in self._expected)


class RequireToken(grpc.ServerInterceptor):
    """Refuses calls without one of the tokens with UNAUTHENTICATED."""

    def __init__(self, tokens: Tokens, counts: Mapping[str, CountCode]):
        """`counts`: by full method name; calls of other methods are not counted."""
        self._tokens, self._counts, self._refusal = tokens, counts, refusing(NO_TOKEN)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        if details.method.startswith(f"/{HEALTH_SERVICE}/") or self._tokens.are_in(
            details.invocation_metadata
        ):
            return continuation(details)
        if (count := self._counts.get(details.method)) is not None:
            count(grpc.StatusCode.UNAUTHENTICATED)
        return self._refusal


def read_tokens(path: Path) -> Tokens:
    """The tokens of `serving.token_file`. Raises SettingsError if there are none."""
    text = _read(path, "serving.token_file").decode(errors="replace")
    tokens = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not tokens:
        raise SettingsError(f"serving.token_file {path}: empty, expected one token per line")
    return Tokens(tokens)


def server_credentials(serving: Serving) -> grpc.ServerCredentials | None:
    """TLS as configured, with client certificates if a CA for them is set; None is plaintext."""
    if serving.tls_cert is None or serving.tls_key is None:
        return None
    pair = (
        _read(serving.tls_key, "serving.tls_key"),
        _read(serving.tls_cert, "serving.tls_cert"),
    )
    ca = _read(serving.tls_client_ca, "serving.tls_client_ca") if serving.tls_client_ca else None
    return grpc.ssl_server_credentials([pair], ca, require_client_auth=ca is not None)


def _read(path: Path, setting: str) -> bytes:
    try:
        return expanded(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{setting} {path}: cannot be read ({error.strerror})") from None
