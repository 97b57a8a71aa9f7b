"""Wire types only grow: no field of a released version is gone, renumbered or of another type.

tests/golden/wire_v1.json is what the first release promised. A new field or method is added to it
by hand, with its number; taking one out is a new package, `impressions.v2`.
"""

import json
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor

from impressions.v1 import impression_record_pb2, impressions_service_pb2

GOLDEN = Path(__file__).parents[1] / "golden" / "wire_v1.json"
TYPES = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def wire(files):
    """{what: how it looks on the wire} of everything that a client may depend on."""
    found = {}
    for file in files:
        for message in file.message_types_by_name.values():
            found |= of_message(message)
        for enum in file.enum_types_by_name.values():
            found |= {f"{enum.full_name}.{v.name}": str(v.number) for v in enum.values}
        for service in file.services_by_name.values():
            for method in service.methods:
                streams = f"{method.client_streaming:d}{method.server_streaming:d}"
                types = f"{method.input_type.full_name} -> {method.output_type.full_name}"
                found[method.full_name] = f"{types} {streams}"
    return dict(sorted(found.items()))


def of_message(message):
    found = {}
    for field in message.fields:
        kind = field.message_type or field.enum_type
        words = [str(field.number), kind.full_name if kind else TYPES[field.type]]
        words += ["repeated"] * field.is_repeated + ["presence"] * field.has_presence
        found[field.full_name] = " ".join(words)
    for nested in message.nested_types:
        found |= of_message(nested)
    for enum in message.enum_types:
        found |= {f"{enum.full_name}.{v.name}": str(v.number) for v in enum.values}
    return found


def test_what_was_released_is_still_there():
    """And what is new has been written down."""
    files = (impression_record_pb2.DESCRIPTOR, impressions_service_pb2.DESCRIPTOR)
    released, now = json.loads(GOLDEN.read_text()), wire(files)
    broken = {name: (how, now.get(name)) for name, how in released.items() if now.get(name) != how}
    assert broken == {}, "released, now: a change that old clients cannot read"
    new = {name: how for name, how in now.items() if name not in released}
    assert new == {}, f"add to {GOLDEN.name}"
    assert len(released) > 50
