"""The one Spark session factory: whatever needs Spark gets its session here.

Three ways in, one result (a session whose catalog is that of the settings):

    impressions <verb>        this process starts a JVM: pinned jars, Java 17 or 21, no UI, and the
                              JVM's own messages in <home>/logs/spark.log instead of the terminal
    spark-submit batch/x.py   the JVM is there: what was submitted stays, we add what is missing
    a second call             the JVM and its context are shared; the session is a new one, so that
                              its catalog is that of *these* settings

What is set, and why:

    python of the workers     this one; any other has no pyarrow
    pinned                    what changes numbers, refused with another value (pinned.py)
    zstd                      Parquet as the tables have it
    preserve-data-grouping    scans of raw stay grouped by shard, as its files are
    shuffle.partitions        max(P, 2 x cores); 200 small tasks hurt on few cores

Precedence: what was submitted > settings `spark.conf` > the table above, but for what is pinned.
No property stands in a command line, where every user of the machine could read it: the JVM is
started with a file that only its owner may read and that is gone once it runs. pyspark is imported
late.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch.lake.catalog import spark_catalog
from batch.spark import event_logs
from batch.spark.errors import rotten_files_named
from batch.spark.pinned import PINNED, check_pinned
from impressions.core.errors import ImpressionsError, MissingDependency
from impressions.jvm.environment import java_environment, named_user
from impressions.process.extras import require
from impressions.settings.model import Settings
from impressions.terminal.console import say

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
_STDERR = 2
_SUBMIT_ARGS = "PYSPARK_SUBMIT_ARGS"

_SESSION_CONF = {
    **PINNED,
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.iceberg.planning.preserve-data-grouping": "true",
}


def spark_session(settings: Settings, app_name: str) -> SparkSession:
    """A session for one job; starts Spark if this process has none yet.

    Raises:
        MissingDependency: no pyspark, no Java 17 or 21, no jars, or Spark did not start.
    """
    require("pyspark", "spark")
    from pyspark import SparkContext

    settings.home_dir.mkdir(parents=True, exist_ok=True)
    if SparkContext._active_spark_context is not None:
        return _configured(_build({}).newSession(), settings)
    submitted = _submitted_conf()
    check_pinned(submitted or {}, "spark-submit --conf")
    check_pinned(settings.spark.conf, "settings spark.conf")
    conf = _context_conf(settings, app_name) if submitted is None else {}
    conf |= _SESSION_CONF | {"spark.sql.extensions": _EXTENSIONS} | spark_catalog(settings)
    conf |= settings.spark.conf
    conf = {key: value for key, value in conf.items() if key not in (submitted or {})}
    session = _start(conf, settings) if submitted is None else _start_submitted(conf, settings)
    return _configured(session, settings)


@contextlib.contextmanager
def using_spark(settings: Settings, app_name: str) -> Iterator[SparkSession]:
    """A session for the block; Spark stops at its end if the block started it. What the block
    raises has a note on how to open Spark's event log."""
    require("pyspark", "spark")
    from pyspark import SparkContext

    ours = SparkContext._active_spark_context is None
    session = spark_session(settings, app_name)
    try:
        with rotten_files_named(settings):
            yield session
    except Exception as error:  # each job that failed, whatever of; it goes on
        if line := event_logs.how_to_open(session):
            error.add_note(line)
        raise
    finally:
        if ours:
            session.stop()
            event_logs.sweep(settings)


def log_file(settings: Settings) -> Path:
    """Where the JVM and its Python workers write what would be noise on the terminal."""
    return settings.home_dir / "logs" / "spark.log"


def _context_conf(settings: Settings, app_name: str) -> dict[str, str]:
    """Properties that only a JVM of our own start can have."""
    from impressions.jvm.jars import ensure
    from impressions.jvm.java import find_java

    named_user()  # or it is refused, before anything starts
    os.environ["JAVA_HOME"] = str(find_java().home)
    os.environ.update(java_environment(os.environ))
    # A JVM started from Python takes the workers' python from here, not from the conf.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    scratch = settings.home_dir / "tmp" / "spark"
    scratch.mkdir(parents=True, exist_ok=True)
    return {
        "spark.app.name": f"impressions {app_name}",
        "spark.master": settings.spark.master,
        "spark.jars": ",".join(map(str, ensure(settings))),
        "spark.driver.memory": settings.spark.driver_memory,
        "spark.local.dir": str(scratch),
        "spark.jars.ivy": str(scratch / "ivy"),  # by default below HOME, which there may not be
        "spark.sql.warehouse.dir": f"file://{scratch / 'no-hive-warehouse'}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "WARN",
        **event_logs.conf(settings),
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
    }


def _submitted_conf() -> dict[str, str] | None:
    """What spark-submit was given; None when this process starts its own JVM."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return None
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()
    return dict(SparkConf(_jvm=SparkContext._jvm).getAll())


def _start(conf: dict[str, str], settings: Settings) -> SparkSession:
    """Starts the JVM, its messages going to the log file for as long as it lives."""
    log = log_file(settings)
    log.parent.mkdir(parents=True, exist_ok=True)
    say("starting Spark ...")
    try:
        with _stderr_to(log), _launch_file(conf, settings):
            return _build(conf)
    except Exception as error:  # pyspark raises RuntimeError, py4j its own, the system OSError
        if isinstance(error, ImpressionsError):
            raise
        first_line = str(error).strip().partition("\n")[0]
        raise MissingDependency(
            f"Spark did not start: {first_line}",
            hint=f"its own messages are in {log}; `impressions doctor` checks Java and the jars",
            reason="spark_start",
        ) from error


@contextlib.contextmanager
def _launch_file(conf: dict[str, str], settings: Settings) -> Iterator[None]:
    """The JVM is launched in this block, by a file instead of arguments."""
    from pyspark import SparkContext

    descriptor, name = tempfile.mkstemp(dir=settings.home_dir / "tmp" / "spark", suffix=".conf")
    before = os.environ.get(_SUBMIT_ARGS)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:  # mkstemp: 0600
            file.writelines(f"{escaped(key)} {escaped(value)}\n" for key, value in conf.items())
        os.environ[_SUBMIT_ARGS] = f"--properties-file {shlex.quote(name)} pyspark-shell"
        SparkContext._ensure_initialized()
        yield
    finally:
        Path(name).unlink(missing_ok=True)
        os.environ.pop(_SUBMIT_ARGS)
        if before is not None:
            os.environ[_SUBMIT_ARGS] = before


def escaped(text: str) -> str:
    """A key or value as a Java properties file has it."""
    out = []
    for sign in text:
        if sign in "\\ :=#!":
            out.append("\\" + sign)
        elif " " < sign <= "~":
            out.append(sign)
        else:
            units = sign.encode("utf-16-be")
            out += [f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)]
    return "".join(out)


def _start_submitted(conf: dict[str, str], settings: Settings) -> SparkSession:
    from pyspark import SparkContext

    jvm: Any = SparkContext._jvm
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    if not loader.getResource(_EXTENSIONS.replace(".", "/") + ".class"):
        from impressions.jvm.jars import ensure

        raise MissingDependency(
            "the Iceberg runtime is not among the jars that were submitted",
            hint=f"spark-submit --jars {','.join(map(str, ensure(settings)))} ...",
            reason="missing_jar",
        )
    return _build(conf)


def _build(conf: dict[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    return SparkSession.builder.config(map={**conf}).getOrCreate()


def _configured(session: SparkSession, settings: Settings) -> SparkSession:
    """The runtime properties of this session; a catalog is looked up at its first use."""
    conf = _SESSION_CONF | spark_catalog(settings) | settings.spark.conf
    if "spark.sql.shuffle.partitions" not in conf:
        cores = session.sparkContext.defaultParallelism
        conf["spark.sql.shuffle.partitions"] = str(max(settings.partitions, 2 * cores))
    for key, value in conf.items():
        if key.startswith("spark.sql.catalog.") or session.conf.isModifiable(key):
            session.conf.set(key, value)
    _activate(session)  # a catalog is made with the properties of the active one
    return session


def _activate(spark: SparkSession) -> None:
    """Makes it the session that Spark asks where nobody says which."""
    session: Any = spark
    session._get_j_spark_session_class(session._jvm).setActiveSession(session._jsparkSession)


@contextlib.contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """File descriptor 2 is `path` for the block: a JVM started in it inherits that."""
    sys.stderr.flush()
    saved = os.dup(_STDERR)
    with path.open("ab") as log:
        os.dup2(log.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
