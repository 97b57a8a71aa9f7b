"""Java, and the jars of Spark and Kafka with their pinned digests."""

from __future__ import annotations

from pathlib import Path

from impressions.cli.checks.check import Skip, needs
from impressions.core.errors import NotReady
from impressions.settings.model import Settings


def java() -> str:
    needs("pyspark", "spark")
    from impressions.jvm.java import find_java

    java = find_java()
    return f"{java.version} in {java.home}"


def spark_jars(settings: Settings) -> str:
    needs("pyspark", "spark")
    from impressions.jvm import jars

    return _pinned(settings, jars.LOCK_FILE)


def kafka_jars(settings: Settings) -> str:
    """Those of the local broker; somebody else's needs none here."""
    if settings.kafka.bootstrap:
        raise Skip("not needed: kafka.bootstrap names a broker")
    needs("pyspark", "spark")
    from impressions.local.broker import LOCK_FILE

    return _pinned(settings, LOCK_FILE)


def _pinned(settings: Settings, lock_file: Path) -> str:
    from impressions.jvm import jars

    wanted = jars.read_lock(lock_file)
    for jar in wanted:
        path = jars.jars_dir(settings) / jar.file_name
        if not path.exists():
            raise NotReady(f"{jar.file_name} is not in {path.parent}", hint="impressions jars")
        jars.verify(jar, path)
    return f"{len(wanted)} with the pinned sha256 in {jars.jars_dir(settings)}"
