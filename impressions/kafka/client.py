"""Settings to the configurations of the two Kafka clients in use.

    librdkafka (confluent-kafka)   producer, topics, followers, land: plain, synchronous, fast
    aiokafka                       under Faust, in the worker's event loop

Properties are librdkafka's names; the few that concern security are translated for aiokafka, so one
setting serves both. `kafka.bootstrap` wins; without it the local broker's address file is read.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impressions.core.errors import NotReady, SettingsError
from impressions.settings.model import Settings

_SECURITY = ("security.protocol", "sasl.", "ssl.")
_TRANSLATED = {
    "security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password",
    "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password",
}  # fmt: skip


def address_file(settings: Settings) -> Path:
    """The file with the local broker's address while it runs."""
    return settings.home_dir / "kafka" / "address"


def find_bootstrap(settings: Settings) -> str | None:
    """host:port,... of the broker; None where none is configured and no local one was started."""
    if settings.kafka.bootstrap:
        return settings.kafka.bootstrap
    with contextlib.suppress(FileNotFoundError):
        return address_file(settings).read_text("ascii").strip() or None
    return None


def bootstrap(settings: Settings) -> str:
    """The same; NotReady where there is none."""
    found = find_bootstrap(settings)
    if found is None:
        raise NotReady(
            "no Kafka is configured, and no local one is running",
            hint="impressions kafka start; or --set kafka.bootstrap=host:9092",
            reason="no_broker",
        )
    return found


_RECOVERY = {
    # A client that met a broker without its partitions' leaders may keep thinking that they have
    # none (confluentinc/librdkafka#5430), until it looks again: by default after five minutes.
    "topic.metadata.refresh.interval.ms": 10_000,
    "metadata.recovery.rebootstrap.trigger.ms": 5_000,
    "socket.timeout.ms": 10_000,
}


def librdkafka(settings: Settings, **more: Any) -> dict[str, Any]:
    """Configuration of a confluent-kafka client; `more` as `auto_offset_reset="error"`, callbacks
    by their own names (`error_cb`)."""
    return {
        "bootstrap.servers": bootstrap(settings),
        "client.id": "impressions",
        **_RECOVERY,
        **{k if k.endswith("_cb") else k.replace("_", "."): v for k, v in more.items()},
        **settings.kafka.properties,
    }


FETCH_BYTES = 16 << 10
"""Of one partition in one answer of the broker, compressed; or one batch, where that is larger.
librdkafka unpacks an answer at once, and what a device sends may compress a thousandfold."""


def reading(settings: Settings, **more: Any) -> dict[str, Any]:
    """Configuration of a consumer that is given its partitions and commits nothing.

    It sees every record, also of transactions that are open or were aborted, as the worker's client
    does: an offset, and the end of a partition, must mean the same to all.
    """
    options = {
        "group_id": "impressions-readers",  # wanted by the library, used for nothing
        "enable_auto_commit": False,
        "enable_auto_offset_store": False,
        "fetch_message_max_bytes": FETCH_BYTES,
        "auto_offset_reset": "error",  # never to the end, past records that were not read
    }
    # Over `kafka.properties`, which aiokafka does not get.
    return librdkafka(settings, **options | more) | {"isolation.level": "read_uncommitted"}


def aiokafka(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of aiokafka's clients: address and security."""
    properties = settings.kafka.properties
    for key in properties:
        if key.startswith(_SECURITY) and key not in _TRANSLATED:
            raise SettingsError(
                f"kafka.properties.{key}: the worker's client knows no such property",
                hint=f"it understands {', '.join(sorted(_TRANSLATED))}",
            )
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    out: dict[str, Any] = {
        "bootstrap_servers": bootstrap(settings),
        "security_protocol": protocol,
    }
    if "SSL" in protocol:
        out["ssl_context"] = ssl_context(properties)
    if protocol.startswith("SASL"):
        mechanism = properties.get("sasl.mechanism") or properties.get("sasl.mechanisms", "PLAIN")
        out |= {
            "sasl_mechanism": mechanism.upper(),
            "sasl_plain_username": properties.get("sasl.username"),
            "sasl_plain_password": properties.get("sasl.password"),
        }
    return out


def ssl_context(properties: Mapping[str, str]) -> ssl.SSLContext:
    """A context with the CA and, where given, the client's certificate."""
    try:
        context = ssl.create_default_context(cafile=properties.get("ssl.ca.location"))
        if certificate := properties.get("ssl.certificate.location"):
            context.load_cert_chain(
                certificate,
                properties.get("ssl.key.location"),
                properties.get("ssl.key.password"),
            )
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"kafka.properties.ssl.*: {error}") from None
    return context
