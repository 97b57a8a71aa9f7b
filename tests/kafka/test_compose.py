"""docker-compose.yml, as far as it can be checked without an engine."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from batch.lake.catalog import python_catalog, spark_catalog
from impressions.cli.main import VERBS, load_verb
from impressions.kafka.topics import MAX_MESSAGE_BYTES
from impressions.settings.model import load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: s for name, s in SERVICES.items() if s.get("image") == "impressions"}


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_a_verb_with_these_options(name: str) -> None:
    """Of the command line as it is today, sub-verbs and flags included."""
    command = load_verb(OURS[name]["command"][0])
    for word in OURS[name]["command"][1:]:
        if word.startswith("--"):
            assert word in {option for p in command.params for option in p.opts}, word
        elif hasattr(command, "commands"):
            command = command.commands[word]


def test_the_verbs_in_the_comments_exist() -> None:
    """Whoever copies a line from the head of the file runs something that is there."""
    head = (ROOT / "docker-compose.yml").read_text("utf-8").partition("x-impressions")[0]
    named = re.findall(r"(?:--rm land|exec serve impressions) (\w+)", head)
    assert named == ["week", "bulkload"]
    assert set(named) <= VERBS.keys()


@pytest.mark.parametrize("name", OURS)
def test_each_variable_is_a_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known, of the right type, and read as meant."""
    for variable in [v for v in os.environ if v.startswith("IMPRESSIONS_")]:
        monkeypatch.delenv(variable)
    for variable, value in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = load()
    assert settings.kafka.bootstrap == "kafka:9092"
    assert spark_catalog(settings)["spark.sql.catalog.lake.uri"].startswith("jdbc:postgresql:")
    assert python_catalog(settings)["uri"].startswith("postgresql+psycopg2:")
    assert settings.generations.startswith("s3://impressions/")


def test_services_wait_for_what_exists() -> None:
    """Each name that another service, a volume or a config refers to is declared."""
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], name
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
        for config in service.get("configs", []):
            assert config["source"] in COMPOSE["configs"]


def test_its_broker_is_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same release as the pinned jars, the same largest message, no topics by accident."""
    lock = (ROOT / "impressions" / "local" / "kafka-jars.toml").read_text("utf-8")
    version = re.search(r'artifact = "kafka_2.13"\nversion = "(.+)"', lock)
    assert version is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version[1]}"
    environment = SERVICES["kafka"]["environment"]
    assert environment["KAFKA_MESSAGE_MAX_BYTES"] == str(MAX_MESSAGE_BYTES)
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_image_is_built_of_what_is_here() -> None:
    """Files that the Dockerfile copies exist, and its Java and Python are supported ones."""
    text = (ROOT / OURS["serve"]["build"]["dockerfile"]).read_text("utf-8")
    assert (ROOT / "constraints.txt").exists()
    assert "openjdk-17-jre-headless" in text
    assert "FROM python:3.11" in text
