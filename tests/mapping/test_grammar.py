"""The import mapping: what can be said, and what is refused with the line that fixes it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from batch.mapping.fits import check_against
from batch.mapping.grammar import HashOf, Source, read_mapping
from batch.mapping.kinds import Kind
from batch.mapping.options import Reading
from impressions.core.errors import MappingError

NEEDED = ["profile_id=u", "title_id=v", "event_time=t:ms"]
KINDS: dict[str, Kind] = {"u": "integer", "v": "integer", "t": "integer", "name": "text"}


def test_flags_say_column_and_unit() -> None:
    """`target=column:unit`; what is not mapped has a default that can be printed."""
    mapping = read_mapping([*NEEDED, "ingest_time=got:iso", "log_id=hash(u, t)"])
    assert mapping.sources["event_time"] == Source("t", "ms")
    assert mapping.sources["profile_id"] == Source("u")
    assert mapping.sources["log_id"] == HashOf(("u", "t"))
    assert mapping.columns == ("u", "v", "t", "got")
    assert not mapping.ingest_is_event
    assert mapping.defaults["dwell_s"] == "0"
    assert "log_id" not in mapping.defaults


def test_a_colon_may_be_part_of_a_column_name() -> None:
    """Only a known unit behind the last colon is a unit."""
    assert read_mapping([*NEEDED, "ingest_time=ns:at:us", "device_type=ua:model"]).sources == {
        "profile_id": Source("u"),
        "title_id": Source("v"),
        "event_time": Source("t", "ms"),
        "ingest_time": Source("ns:at", "us"),
        "device_type": Source("ua:model"),
    }


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    """The same words in TOML."""
    path = tmp_path / "m.toml"
    path.write_text(
        'ingest_time = "event"\n[columns]\nprofile_id = "a"\ntitle_id = "v"\nevent_time = "t:s"\n'
    )
    mapping = read_mapping(["profile_id=b"], path)
    assert mapping.sources["profile_id"] == Source("b")
    assert mapping.ingest_is_event


@pytest.mark.parametrize(
    ("flags", "ingest_time", "message"),
    [
        (["profile_id"], "event", "expected TARGET=COLUMN"),
        ([*NEEDED, "title_id=t:strptime(%Y-%m-%d)"], "event", "expected it for a time only"),
        ([*NEEDED, "event_time=t:strptime(%H:%M)"], "event", "expected a complete date"),
        ([*NEEDED, "event_time=t:strptime(%Y)"], "event", "expected a complete date"),
        (["=u"], "event", "expected TARGET=COLUMN"),
        (["profil_id=u"], "event", "there is no 'profil_id' to map to"),
        (NEEDED[1:], "event", "says nothing about profile_id"),
        ([], "event", "says nothing about profile_id, title_id, event_time"),
        (NEEDED, None, "found nothing, expected one of the two"),
        ([*NEEDED, "ingest_time=g:ms"], "event", "found both a column and the event time"),
        (NEEDED, "now", "ingest time 'now': expected the word event"),
        ([*NEEDED, "title_id=v:ms"], "event", "unit 'ms', expected int, hash"),
        ([*NEEDED, "played=p:s"], "event", "unit 's', expected no unit"),
        ([*NEEDED, "title_id=hash(a,b)"], "event", r"hash\(a,b,...\) makes a log_id"),
        ([*NEEDED, "log_id=hash(a,)"], "event", r"hash\(a,b,...\) makes a log_id"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    flags: list[str], ingest_time: str | None, message: str
) -> None:
    """Before a file of events is opened."""
    with pytest.raises(MappingError, match=message):
        read_mapping(flags, None, ingest_time)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("columns =", "is not TOML"),
        ("[colums]\n", "found colums"),
        (
            "[columns]\nprofile_id = 3\n",
            'found columns.profile_id = 3, expected texts "column:unit"',
        ),
        ("columns = 3\n", 'found columns = 3, expected texts "column:unit" in a table'),
        ("header = 0\n", "found header = 0"),
        ("separator = true\n", "found separator = True"),
        (
            "[locations]\nhome = 256\n",
            "found locations.home = 256, expected less than or equal to 255",
        ),
        ("[locations]\nhome = true\n", "found locations.home = True, expected a valid integer"),
    ],
)
def test_a_mapping_file_that_cannot_be_meant_is_named(
    tmp_path: Path, content: str | None, message: str
) -> None:
    """With what was found in it."""
    path = tmp_path / "m.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(MappingError, match=message):
        read_mapping(NEEDED, path, "event")


@pytest.mark.parametrize(
    ("target", "source", "kind", "message", "hint"),
    [
        ("profile_id", "x", "text", "is text, expected whole numbers", "x:hash"),
        ("log_id", "x:hash", "floating", "expected text to hash", None),
        ("title_id", "x", "timestamp", "is a timestamp, expected whole numbers", None),
        ("event_time", "x", "integer", "without a unit", "event_time=x:ms"),
        ("event_time", "x", "plain", "without a unit", "event_time=x:iso"),
        ("event_time", "x:iso", "integer", "found unit 'iso'", "event_time=x:ms"),
        ("event_time", "x:ms", "timestamp", "is a timestamp already", "x:timestamp"),
        ("event_time", "x:strptime(%Y%m%d)", "timestamp", "is a timestamp already", "x:timestamp"),
        ("event_time", "x:strptime(%Y%m%d)", "integer", "found a pattern for text", "x:ms"),
        ("event_time", "x:ms", "other", "is of a type that is not read", None),
        ("log_id", "hash(u,x)", "other", "is of a type that is not read", None),
        ("device_type", "x", "other", "is of a type that is not read", None),
        ("event_time", "x:timestamp", "text", "found unit 'timestamp'", "event_time=x:iso"),
        ("event_time", "x:ms", "boolean", "expected a number, ISO text or timestamp", None),
        ("location", "x", "text", "expected whole numbers", "location=x:int"),
        ("dwell_s", "x", "boolean", "expected a number", None),
        ("played", "x", "timestamp", "expected true/false or 0/1", None),
    ],
)
def test_a_type_that_does_not_go_with_the_target(
    target: str, source: str, kind: Kind, message: str, hint: str | None
) -> None:
    """The message names file, column and type."""
    mapping = read_mapping([*NEEDED, f"{target}={source}"], None, "event")
    with pytest.raises(MappingError, match=message) as caught:
        check_against(mapping, KINDS | {"x": kind}, "e.parquet")
    assert caught.value.message.startswith("e.parquet: column 'x' for")
    assert (hint or "") in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("source", "kind"),
    [("x", "timestamp"), ("x:timestamp", "timestamp"), ("x:s", "floating"), ("x:us", "decimal"),
     ("x:iso", "plain"), ("x:ms", "text"), ("x:strptime(%d.%m.%y)", "text"), ("x", "null")],
)  # fmt: skip
def test_times_that_fit(source: str, kind: Kind) -> None:
    """Whatever states its unit, or has one by type."""
    mapping = read_mapping([*NEEDED[:2], f"event_time={source}"], None, "event")
    check_against(mapping, KINDS | {"x": kind}, "e.parquet")


def test_an_unknown_column_is_answered_with_the_nearest_names() -> None:
    """And with the units, where a colon suggests that one was meant."""
    mapping = read_mapping([*NEEDED, "device_type=nam"], None, "event")
    with pytest.raises(MappingError, match="no column 'nam'; the columns are u, v, t, name") as one:
        check_against(mapping, KINDS, "e.parquet")
    assert one.value.hint == "did you mean name?"
    mapping = read_mapping([*NEEDED[:2], "event_time=time:sec"], None, "event")
    with pytest.raises(MappingError) as two:
        check_against(mapping, KINDS, "e.parquet")
    assert "'sec' is no unit" in str(two.value.hint)


def test_a_pattern_may_hold_colons_commas_and_brackets() -> None:
    """What stands between `:strptime(` and the last bracket is the pattern."""
    text = "event_time=sent:at:strptime(%d.%m.%Y, %H:%M:%S (%z))"
    source = read_mapping([*NEEDED[:2], text], None, "event").sources["event_time"]
    assert source == Source("sent:at", None, "%d.%m.%Y, %H:%M:%S (%z)")
    assert f"event_time={source}" == text


def test_what_a_file_does_not_say_of_itself(tmp_path: Path) -> None:
    """Separator, encoding, header, zone and locations, by file or by flag; the flag wins."""
    path = tmp_path / "m.toml"
    path.write_text(
        'ingest_time = "event"\nseparator = ";"\nencoding = "latin-1"\nheader = false\n'
        'timezone = "Europe/Berlin"\n[columns]\nprofile_id = "1"\ntitle_id = "2"\n'
        'event_time = "3:iso"\nlocation = "4"\n[locations]\nhome = 1\nsearch = 2\n'
    )
    mapping = read_mapping([], path)
    assert mapping.reading == Reading(";", "iso8859-1", False, "Europe/Berlin")
    assert mapping.locations == {"home": 1, "search": 2}
    mapping = read_mapping(
        [], path, separator="tab", encoding="UTF8", header=True, timezone="UTC",
        locations=["home=7", "a=b=3"],
    )  # fmt: skip
    assert mapping.reading == Reading("\t", None, True, None)
    assert mapping.locations == {"home": 7, "search": 2, "a=b": 3}
    assert pickle.loads(pickle.dumps(mapping)) == mapping


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": "::"}, "expected one character"),
        ({"separator": '"'}, "expected one character"),
        ({"encoding": "utf-9"}, "encoding 'utf-9': expected a name"),
        ({"encoding": "hex"}, "encoding 'hex': expected a name"),
        ({"timezone": "Mars/Olympus"}, "timezone 'Mars/Olympus': not known"),
        ({"timezone": "../etc/passwd"}, "not known"),
        ({"locations": ["home"]}, "expected TEXT=NUMBER"),
        ({"locations": ["home=256"]}, "from 0 to 255"),
        ({"locations": ["home=1"]}, "no column is mapped to location"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    """Before a file of events is opened."""
    with pytest.raises(MappingError, match=message):
        read_mapping(NEEDED, None, "event", **options)


def test_locations_by_name_want_text() -> None:
    """A floating-point column has no names in it."""
    mapping = read_mapping([*NEEDED, "location=x"], None, "event", locations=["home=1"])
    check_against(mapping, KINDS | {"x": "text"}, "e.parquet")
    with pytest.raises(MappingError, match="expected text: locations have names"):
        check_against(mapping, KINDS | {"x": "floating"}, "e.parquet")
