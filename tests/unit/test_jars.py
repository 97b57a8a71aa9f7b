"""Jars and Java: what is refused, what is kept, and what the refusal says.

A fake `java` stands for the real one: a script that says its version and, asked to run Ivy, does
what the test wants. So nothing is downloaded here.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from impressions.core.errors import CorruptData, MissingDependency
from impressions.jvm import jars
from impressions.jvm.jars import Jar
from impressions.jvm.java import find_java
from impressions.local.broker import LOCK_FILE
from impressions.settings.model import Settings
from impressions.settings.sections.batch import Spark

CONTENT = b"not really a jar"
JAR = Jar("org.example", "thing", "1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def fake_java(home: Path, version: str, ivy: str = "exit 9") -> Path:
    """A Java home whose `java` reports `version` and runs the shell text `ivy` for -jar."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(
        "#!/bin/sh\n"
        'case "$1" in -XshowSettings*)\n'
        f'  printf "    java.home = {home}\\n    java.version = {version}\\n" >&2; exit 0;;\n'
        "esac\n"
        'for last; do :; done; out=$(dirname "$last")\n'
        f"{ivy}\n"
    )
    executable.chmod(0o755)
    return home


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(spark=Spark(jars_dir=tmp_path / "jars"))


@pytest.fixture
def ivy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Java 17 whose Ivy runs the script `ivy.sh` of the returned path."""
    script = tmp_path / "ivy.sh"
    home = fake_java(tmp_path / "jdk", "17.0.1", f'export out; . "{script}"')
    monkeypatch.setenv("JAVA_HOME", str(home))
    return script


def test_a_download_is_kept_once_it_is_right(settings: Settings, ivy: Path) -> None:
    """The second use needs no Java and no network; nothing but jar and stamp is left behind."""
    ivy.write_text(f"printf '%s' '{CONTENT.decode()}' > \"$out/thing-1.0.jar\"")
    (path,) = jars.ensure(settings, (JAR,))
    assert path.read_bytes() == CONTENT
    ivy.write_text("exit 1")
    assert jars.ensure(settings, (JAR,)) == (path,)
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "thing-1.0.jar",
        "thing-1.0.jar.verified",
    ]


def test_absent_jars_come_in_one_run_and_what_came_is_kept(settings: Settings, ivy: Path) -> None:
    """Ivy starts once for all; where one is missing it is named, and only it is asked for again."""
    other = Jar("org.example", "other", "2.0", JAR.size_bytes, JAR.sha256)
    ivy.write_text(
        f"printf '%s' '{CONTENT.decode()}' > \"$out/thing-1.0.jar\"\n"
        f'cat "$out/ivy.xml" >> "{ivy.parent}/asked"; echo >> "{ivy.parent}/asked"'
    )
    for _ in range(2):
        with pytest.raises(MissingDependency, match=r"org\.example:other:2\.0 failed") as caught:
            jars.ensure(settings, (JAR, other))
        assert "thing" not in caught.value.message
    first, second = (ivy.parent / "asked").read_text().splitlines()
    assert (first.count("<dependency "), second.count("<dependency ")) == (2, 1)
    assert 'name="other"' in second
    assert 'transitive="false"' in second
    assert jars.ensure(settings, (JAR,)) == (jars.jars_dir(settings) / JAR.file_name,)


def test_failed_download_names_the_artifact_and_the_way_out(settings: Settings, ivy: Path) -> None:
    """What Ivy complained of, and where to place the file by hand."""
    ivy.write_text('echo "  :: org.example#thing;1.0: not found"; exit 1')
    with pytest.raises(MissingDependency) as caught:
        jars.ensure(settings, (JAR,))
    assert "org.example:thing:1.0" in caught.value.message
    assert "org.example#thing;1.0: not found" in caught.value.message
    assert f"place it in {jars.jars_dir(settings)}/" in (caught.value.hint or "")
    assert "thing-1.0.jar" in (caught.value.hint or "")
    assert list(jars.jars_dir(settings).iterdir()) == []


def test_other_bytes_than_pinned_are_refused_and_not_kept(settings: Settings, ivy: Path) -> None:
    """Both hashes are named and the cache stays empty."""
    ivy.write_text('printf evil > "$out/thing-1.0.jar"')
    with pytest.raises(CorruptData) as caught:
        jars.ensure(settings, (JAR,))
    assert hashlib.sha256(b"evil").hexdigest() in caught.value.message
    assert JAR.sha256 in caught.value.message
    assert list(jars.jars_dir(settings).iterdir()) == []


def test_a_silent_download_is_ended(
    settings: Settings, ivy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead connection does not hang a job for ever."""
    ivy.write_text("exec sleep 60")
    monkeypatch.setattr(jars, "_STALL_S", 0.3)
    monkeypatch.setattr(jars, "_POLL_S", 0.05)
    with pytest.raises(MissingDependency, match="no byte arrived for"):
        jars.ensure(settings, (JAR,))


def test_a_jar_placed_by_hand_is_verified(settings: Settings) -> None:
    """The way out of the failed download works, and only with the right bytes."""
    place = jars.jars_dir(settings)
    place.mkdir(parents=True)
    (place / JAR.file_name).write_bytes(b"wrong")
    with pytest.raises(CorruptData, match=r"found sha256 .* expected") as caught:
        jars.ensure(settings, (JAR,))
    assert "impressions jars" in (caught.value.hint or "")
    (place / JAR.file_name).write_bytes(CONTENT)
    assert jars.ensure(settings, (JAR,)) == (place / JAR.file_name,)


def test_an_exchanged_jar_is_found_in_spite_of_its_stamp(settings: Settings) -> None:
    """The stamp holds only for the size and time it was made for."""
    path = jars.jars_dir(settings) / JAR.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    jars.verify(JAR, path)
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(1, 1))
    with pytest.raises(CorruptData):
        jars.verify(JAR, path)


def test_an_unwritable_cache_says_which_setting_moves_it(tmp_path: Path, ivy: Path) -> None:
    """A file where the directory should be stands for any reason it cannot be made."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingDependency, match="cannot be written") as caught:
        jars.ensure(Settings(spark=Spark(jars_dir=tmp_path / "file" / "jars")), (JAR,))
    assert "IMPRESSIONS_SPARK__JARS_DIR" in (caught.value.hint or "")


def test_the_lock_pins_the_iceberg_runtime_of_this_spark() -> None:
    """Each pin is complete, and the runtime is the one built for pyspark's line."""
    from importlib.metadata import version

    lock = {jar.artifact: jar for jar in jars.read_lock()}
    line = ".".join(version("pyspark").split(".")[:2])
    assert f"iceberg-spark-runtime-{line}_2.13" in lock
    assert "sqlite-jdbc" in lock
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 1_000_000 for jar in lock.values())


def test_the_lock_of_the_broker_is_whole() -> None:
    """Every jar of one Kafka release is pinned, each under a file name of its own."""
    lock = jars.read_lock(LOCK_FILE)
    kafka = {jar.artifact: jar.version for jar in lock if jar.group == "org.apache.kafka"}
    assert {"kafka_2.13", "kafka-clients", "kafka-server", "kafka-storage"} <= kafka.keys()
    assert set(kafka.values()) == {"4.1.1"}
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in lock)
    names = [jar.file_name for jar in (*lock, *jars.read_lock())]
    assert len(names) == len(set(names))


def test_cache_is_per_user_unless_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The setting, then XDG_CACHE_HOME, then the home directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jars.jars_dir(Settings()) == tmp_path / "impressions" / "jars"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "h"))
    assert jars.jars_dir(Settings()) == tmp_path / "h" / ".cache" / "impressions" / "jars"


def test_proxies_are_passed_on_to_java() -> None:
    """Java reads no HTTPS_PROXY; without one nothing is added."""
    assert jars.proxy_flags({}) == []
    assert jars.proxy_flags({"HTTPS_PROXY": "http://user@proxy.example:3128/"}) == [
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
    ]


def test_java_home_comes_first(tmp_path: Path) -> None:
    """JAVA_HOME wins over PATH when it holds a release that works, and only then."""
    a, b = fake_java(tmp_path / "a", "21.0.2"), fake_java(tmp_path / "b", "17.0.9")
    old = fake_java(tmp_path / "old", "1.8.0_392")
    path = f"{b / 'bin'}:/usr/bin:/bin"
    java = find_java({"JAVA_HOME": str(a), "PATH": path})
    assert (java.home, java.major, java.version) == (a, 21, "21.0.2")
    assert find_java({"JAVA_HOME": str(old), "PATH": path}).home == b
    assert find_java({"JAVA_HOME": str(tmp_path / "none"), "PATH": path}).home == b


@pytest.mark.parametrize(
    ("version", "says"), [("25.0.1", "Hadoop"), ("1.8.0_392", "1.8.0_392"), ("11.0.2", "11.0.2")]
)
def test_unsuitable_java_is_refused_with_its_version(
    tmp_path: Path, version: str, says: str
) -> None:
    """25 is refused with the reason; older ones with what was found and expected."""
    home = fake_java(tmp_path / "jdk", version)
    with pytest.raises(MissingDependency, match=says) as caught:
        find_java({"JAVA_HOME": str(home), "PATH": ""})
    assert "expected Java 17 or 21" in caught.value.message


def test_no_java_gives_the_install_lines(tmp_path: Path) -> None:
    """For the three families of package managers."""
    with pytest.raises(MissingDependency, match="no java") as caught:
        find_java({"PATH": str(tmp_path)})
    hint = caught.value.hint or ""
    assert all(word in hint for word in ("apt-get install", "brew install", "dnf install"))
    assert caught.value.exit_code == 3
