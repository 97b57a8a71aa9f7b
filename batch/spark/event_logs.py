"""Spark's event logs: what every stage and task of a job did, also of one that failed.

    <home>/logs/spark-events/local-1794700800000.zstd      one file for each Spark application
    ....zstd.inprogress                                    it runs, or was killed

Spark writes them (`spark.event_log_uri`); its history server shows them in a browser, long after
the job has gone. On a local disk the newest `spark.event_logs` are kept; in an object store that is
a lifecycle rule of the bucket. What was spark-submitted keeps the logs of its cluster.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from impressions.settings.model import Settings
from impressions.settings.paths import expanded

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OFF = "off"
_NAME = re.compile(r"(local-\d+|app-\d+-\d+|application_\d+_\d+)(_\d+)?(\.\w+)?(\.inprogress)?")
_SERVER = "org.apache.spark.deploy.history.HistoryServer"


def directory_of(settings: Settings) -> str | None:
    """A URI; None where none are written."""
    uri = settings.spark.event_log_uri
    if uri == OFF:
        return None
    if uri and "://" in uri:
        return uri.rstrip("/")
    # Spark wants a URI: with a space in it, it takes a plain path for a relative one.
    return (expanded(Path(uri)) if uri else settings.home_dir / "logs" / "spark-events").as_uri()


def conf(settings: Settings) -> dict[str, str]:
    """Properties of a JVM that is to write them; a local directory is made, as Spark does not."""
    directory = directory_of(settings)
    if directory is None:
        return {"spark.eventLog.enabled": "false"}
    if (local := _local(directory)) is not None:
        local.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": directory,
        "spark.eventLog.rolling.enabled": "false",  # one file: it is found by its name alone
        "spark.eventLog.compress": "true",
        "spark.eventLog.compression.codec": "zstd",
    }


def how_to_open(spark: SparkSession) -> str | None:
    """The line that opens the log of this session's application; None where it writes none."""
    known = spark.sparkContext.getConf()
    if known.get("spark.eventLog.enabled", "false") != "true":
        return None
    import pyspark

    program = Path(pyspark.__file__).parent / "bin" / "spark-class"
    directory = str(known.get("spark.eventLog.dir"))
    if (local := _local(directory)) is not None:
        # The server takes a path as it stands, and its options like a shell's words.
        directory = f'"{local}"' if " " in str(local) else str(local)
    option = f"-Dspark.history.fs.logDirectory={directory}"
    return (
        f"Spark's event log is {spark.sparkContext.applicationId}; to open it at "
        f"http://127.0.0.1:18080: SPARK_HISTORY_OPTS={shlex.quote(option)} "
        f"{shlex.quote(str(program))} {_SERVER}"
    )


def sweep(settings: Settings) -> list[str]:
    """Deletes the oldest local logs beyond `spark.event_logs`; their names. Nothing else."""
    directory = directory_of(settings)
    local = None if directory is None else _local(directory)
    if local is None or not local.is_dir():
        return []
    logs = [path for path in local.iterdir() if _NAME.fullmatch(path.name)]
    changed = {}
    for path in logs:
        with contextlib.suppress(FileNotFoundError):  # renamed as its job ended
            changed[path] = path.stat().st_mtime_ns
    old = sorted(changed, key=lambda path: -changed[path])[settings.spark.event_logs :]
    for path in old:
        path.unlink(missing_ok=True)
    return [path.name for path in old]


def _local(directory: str) -> Path | None:
    return Path(unquote(urlsplit(directory).path)) if directory.startswith("file://") else None
