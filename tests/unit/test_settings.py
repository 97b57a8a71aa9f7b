"""Settings: who wins, what is refused, and whether the refusal helps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batch.lake.catalog import python_catalog, spark_catalog
from impressions.core.errors import SettingsError
from impressions.settings.model import Settings, load, parse_shards
from impressions.settings.sources import known_keys


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and no IMPRESSIONS_* variable."""
    for name in list(os.environ):
        if name.startswith("IMPRESSIONS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_win_over_environment_over_file_over_default(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source wins over the weaker ones, key by key, and the origin of each value is known."""
    (clean_place / "impressions.toml").write_text(
        "partitions = 2\n[serving]\nworkers = 2\nthreads = 2\nmax_batch = 2\n"
    )
    monkeypatch.setenv("IMPRESSIONS_SERVING__WORKERS", "3")
    monkeypatch.setenv("IMPRESSIONS_SERVING__THREADS", "3")
    settings = load(overrides=["serving.workers=4"])
    serving = settings.serving
    assert (serving.workers, serving.threads, serving.max_batch) == (4, 3, 2)
    assert settings.partitions == 2
    assert serving.max_titles == 500
    assert [
        settings.origin(f"serving.{k}") for k in ("workers", "threads", "max_batch", "max_titles")
    ] == ["--set", "IMPRESSIONS_SERVING__THREADS", "impressions.toml", "default"]


def test_defaults_read_neither_file_nor_environment(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Settings()` is the same on every machine."""
    (clean_place / "impressions.toml").write_text("partitions = 2\n")
    monkeypatch.setenv("IMPRESSIONS_PARTITIONS", "3")
    assert Settings().partitions == 8
    assert load().partitions == 3


def test_unknown_key_in_file_names_the_nearest(clean_place: Path) -> None:
    """A typo in the file is refused and the known key is named."""
    (clean_place / "impressions.toml").write_text("[serving]\nworkrs = 2\n")
    with pytest.raises(SettingsError, match=r"serving\.workrs in impressions\.toml") as caught:
        load()
    assert caught.value.hint == "did you mean serving.workers?"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["IMPRESSIONS_PARTITONS", "IMPRESSIONS_SERVNG__WORKERS"])
def test_misspelt_variable_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is nearly a setting would be a default in disguise."""
    monkeypatch.setenv(name, "4")
    with pytest.raises(SettingsError, match=name):
        load()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HOST_SHARDS", "HOST__SHARDS"),
        ("HOST_SHARD", "HOST__SHARDS"),
        ("HOST___SHARDS", "HOST__SHARDS"),
        ("KAFKA_BOOTSTRAP", "KAFKA__BOOTSTRAP"),
        ("SERVING_MAX_STREAM_LAG_S", "SERVING__MAX_STREAM_LAG_S"),
        ("SERVING__MAX__BATCH", "SERVING__MAX_BATCH"),
    ],
)
def test_one_underscore_where_two_are_meant_is_refused_with_the_right_name(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ignored, it would leave the default in force without a word."""
    monkeypatch.setenv(f"IMPRESSIONS_{name}", "1")
    with pytest.raises(SettingsError, match=f"IMPRESSIONS_{name} ") as caught:
        load()
    assert caught.value.hint == f"did you mean IMPRESSIONS_{meant}?"


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets these for a service named impressions; they are not settings."""
    for name in (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "PORT",
        "PORT_50051_TCP_ADDR",
        "DEBUG",
        "FAILPOINT",
    ):
        monkeypatch.setenv(f"IMPRESSIONS_{name}", "1")
    assert load() == Settings()


def test_wrong_value_names_key_place_found_and_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message holds all that is needed to fix it."""
    monkeypatch.setenv("IMPRESSIONS_SERVING__WORKERS", "many")
    with pytest.raises(SettingsError) as caught:
        load()
    for part in ("serving.workers", "IMPRESSIONS_SERVING__WORKERS", "'many'", "valid integer"):
        assert part in caught.value.message
    assert "processes that share the port" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("slot_seconds=7", "divisor of 86400"),
        ("partitions=0", "greater than or equal to 1"),
        ("host.shards=0-8", r"0\.\.7"),
        ("serving.tls_cert=a.pem", "expected both or none"),
        ("spark.driver_memory=lots", "pattern"),
        ("serving=1", "expected a table"),
        ("serving.workers", "expected key=value"),
        ("catalog.type=hadoop", "'jdbc'"),
    ],
)
def test_value_out_of_range_is_refused(override: str, says: str) -> None:
    """Every check speaks before anything starts."""
    with pytest.raises(SettingsError, match=says):
        load(overrides=[override])


def test_absent_default_file_is_fine_but_a_named_one_must_exist(clean_place: Path) -> None:
    """Only who names a file means it."""
    assert load() == Settings()
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load(clean_place / "nowhere.toml")


def test_engine_properties_keep_their_dots(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark's property names survive TOML's nesting, JSON in a variable, and --set."""
    (clean_place / "impressions.toml").write_text("[spark.conf]\nspark.sql.a = 1\n'spark.b' = true")
    assert load().spark.conf == {"spark.sql.a": "1", "spark.b": "true"}
    settings = load(overrides=["spark.conf.spark.sql.a=2"])
    assert settings.spark.conf == {"spark.sql.a": "2", "spark.b": "true"}
    monkeypatch.setenv("IMPRESSIONS_SPARK__CONF", '{"spark.c": "3"}')
    assert load().spark.conf["spark.c"] == "3"
    monkeypatch.setenv("IMPRESSIONS_SPARK__CONF", "spark.c=3")
    with pytest.raises(SettingsError, match=r"IMPRESSIONS_SPARK__CONF.*JSON object"):
        load()


def test_sizes_may_have_units() -> None:
    """Bytes are written as people write them."""
    assert load(overrides=["host.reserve_bytes=2GiB"]).host.reserve_bytes == 2 << 30


def test_shards_of_a_host() -> None:
    """Ranges include both ends; "all" is every shard."""
    assert parse_shards("all", 3) == (0, 1, 2)
    assert parse_shards("7, 0-2", 8) == (0, 1, 2, 7)
    for wrong in ("", "a", "3-", "2-1", "8"):
        with pytest.raises(ValueError, match="expected"):
            parse_shards(wrong, 8)


def test_paths_derive_from_home(clean_place: Path) -> None:
    """Everything local lies under home unless it is set apart."""
    settings = load(overrides=["home=state"])
    home = clean_place / "state"
    assert settings.home_dir == home
    assert settings.catalog_file == home / "catalog.db"
    assert settings.warehouse_uri == f"file://{home}/warehouse"
    assert settings.generations == str(home / "generations")
    assert settings.host_dir == home / "host"
    assert load(overrides=["generations_uri=s3://b/g/"]).generations == "s3://b/g"


def test_a_home_directory_that_nobody_knows_is_named() -> None:
    """As `~/data` is for a container's user without a name and without HOME."""
    settings = Settings(home=Path("~nobody-of-this-name/data"))
    with pytest.raises(SettingsError, match="no home directory is known") as found:
        _ = settings.host_dir
    assert found.value.hint == "write the path out, or set HOME"


def test_both_engines_mean_the_same_catalog(clean_place: Path) -> None:
    """One SQLite file, one name, one warehouse, schema V1 on both sides."""
    settings = load(overrides=["home=state"])
    spark, python = spark_catalog(settings), python_catalog(settings)
    database = clean_place / "state" / "catalog.db"
    assert spark["spark.sql.catalog.lake.uri"] == f"jdbc:sqlite:{database}"
    assert python["uri"] == f"sqlite:///file:{database}?uri=true&timeout=30"
    assert spark["spark.sql.catalog.lake.warehouse"] == python["warehouse"]
    assert spark["spark.sql.catalog.lake.jdbc.schema-version"] == "V1"
    assert python["schema_version"] == "v1"


def test_production_catalogs() -> None:
    """REST gets one uri; PostgreSQL gets each engine's spelling; properties win."""
    rest = load(overrides=["catalog.type=rest", "catalog.uri=http://c", "catalog.warehouse=s3://w"])
    assert spark_catalog(rest)["spark.sql.catalog.lake.uri"] == python_catalog(rest)["uri"]
    assert not any("jdbc" in key for key in spark_catalog(rest))
    postgres = load(
        overrides=[
            "catalog.uri=jdbc:postgresql://h/db",
            "catalog.properties.jdbc.user=u",
            "catalog.python_properties.schema_version=v0",
        ]
    )
    assert spark_catalog(postgres)["spark.sql.catalog.lake.jdbc.user"] == "u"
    assert python_catalog(postgres)["uri"] == "postgresql+psycopg2://h/db"
    assert python_catalog(postgres)["schema_version"] == "v0"
    with pytest.raises(SettingsError, match="jdbc:mysql"):
        python_catalog(load(overrides=["catalog.uri=jdbc:mysql://h/db"]))


def test_every_key_is_described() -> None:
    """The model is the manual: no key without its meaning."""
    silent = [key for key, field in known_keys(Settings).items() if not field.description]
    assert silent == []
