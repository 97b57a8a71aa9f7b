"""No password, key or token is printed, whatever property or URI holds it."""

from __future__ import annotations

import pytest

from impressions.cli.config import command
from impressions.settings.model import Settings
from impressions.settings.secrets import MASK, found_in, is_secret, masked, masked_text


@pytest.mark.parametrize(
    "name",
    ["password", "sasl.password", "sasl.jaas.config", "header.Authorization", "jdbc.password",
     "s3.secret-access-key", "s3.access-key-id", "ssl.key.password", "token", "oauth2.credential",
     "gcs.oauth2.token",
     "adls.account-key", "spark.hadoop.fs.s3a.secret.key", "Cookie"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["ssl.key.location", "ssl.ca.location", "s3.endpoint", "kafka.topic", "serving.token_file",
     "sasl.mechanism", "s3.region", "partitioner"],
)  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    assert not is_secret(name)


def test_in_a_uri_and_wherever_else_the_same_value_stands() -> None:
    uri = "s3://user:hunter22@bucket/a?secret_key=abcdef&region=eu"
    assert masked_text(uri) == f"s3://{MASK}@bucket/a?secret_key={MASK}&region=eu"
    secrets = found_in([uri, {"sasl.password": "tr0ub4dor", "sasl.username": "me"}])
    assert secrets == {"hunter22", "abcdef", "tr0ub4dor"}
    assert masked({"note": "use tr0ub4dor", "x": 1}, secrets) == {"note": f"use {MASK}", "x": 1}


def test_config_prints_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither as JSON nor as a table, in properties, URIs, and in who set them."""
    settings = Settings(
        generations_uri="s3://me:hunter22@bucket/g",
        kafka={"properties": {"sasl.jaas.config": "Plain required password=\"hunter23\";",
                              "sasl.username": "me"}},
        catalog={"uri": "jdbc:postgresql://db/x?user=me&password=hunter24",
                 "properties": {"header.Authorization": "Bearer hunter25"}},
    )  # fmt: skip
    for json in (True, False):
        command(settings=settings, json=json)
        out = capsys.readouterr().out
        assert "hunter" not in out
        assert "bucket/g" in out
