"""What an unreadable manifest list says: damaged, or only a store that does not answer."""

from types import SimpleNamespace
from typing import Any

import pytest

from batch.lake.needed_files import _listed
from impressions.core.errors import CorruptData


def raised_by(error: Exception) -> Any:
    def manifests(io: object) -> None:
        raise error

    table = SimpleNamespace(io=None, name=lambda: ("impressions", "raw"))
    snapshot = SimpleNamespace(manifests=manifests, manifest_list="s3://b/snap-1.avro")
    with pytest.raises(Exception) as found:
        _listed(table, snapshot)  # type: ignore[arg-type]
    return found.value


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), ValueError("no avro")])
def test_a_file_that_is_gone_or_does_not_decode_is_corrupt_data(error: Exception) -> None:
    assert isinstance(raised_by(error), CorruptData)


def test_a_store_that_does_not_answer_is_no_corrupt_data() -> None:
    """Its error goes on: a scheduler tries again, nobody is told to bring files back."""
    error = TimeoutError("no answer from s3")
    assert raised_by(error) is error
