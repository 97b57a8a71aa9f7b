"""Who may ask: pure rules about addresses and about the host that a browser names.

A web page of anybody can point a name of its own at 127.0.0.1 and then read from there, as the same
site: DNS rebinding. Such a request names the foreign host, so only names that are ours are
answered. There is no login; the page is for those who are on the machine, unless its operator says
otherwise (`console.beyond_loopback`).
"""

from __future__ import annotations

import ipaddress

from impressions.core.errors import Refused

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every response. No script at all, nothing from elsewhere, in nobody's frame."""

METHODS = ("GET", "HEAD")


def split(listen: str) -> tuple[str, int]:
    """host:port, the host without the brackets of IPv6."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked(listen: str, beyond_loopback: bool) -> tuple[str, int]:
    """Where to listen.

    Raises:
        Refused: other machines would reach it, and nobody said that they may.
    """
    host, port = split(listen)
    if not is_loopback(host) and not beyond_loopback:
        raise Refused(
            f"console.listen {listen}: found an address that other machines reach, expected "
            "loopback: the page has no login",
            hint="ssh -L 8470:127.0.0.1:8470 HOST brings it to you; "
            "or --beyond-loopback, behind a proxy that asks who it is",
            reason="not_loopback",
        )
    return host, port


def host_names(host: str, port: int, others: str) -> frozenset[str]:
    """What a browser may write as Host: loopback and this address with the port, and `others`,
    comma-separated, with this port where they have none."""
    own = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    own |= {name.strip().lower() for name in others.split(",") if name.strip()}
    named = {name if _has_port(name) else f"{name}:{port}" for name in own}
    return frozenset(named | {name.removesuffix(":80") for name in named})  # browsers leave it out


def is_ours(named: str | None, names: frozenset[str]) -> bool:
    """Whether a request may be answered; one that names no host may not."""
    return named is not None and named.lower() in names


def _has_port(name: str) -> bool:
    return ":" in name.rpartition("]")[2]
