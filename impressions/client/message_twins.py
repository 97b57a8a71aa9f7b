"""Columns on the wire without a loop: twins of messages, in which packed columns are `bytes`.

A packed repeated field of fixed width is, byte for byte, a `bytes` field with the same number: tag,
length, little-endian values. A twin is built from the same descriptors as the public class, in a
descriptor pool of its own, so the public classes are untouched.

One limit: a twin reads a column only where the sender wrote it packed and in one piece, as every
protobuf library does. So it is for messages of our own; those of strangers have a reader that takes
every form (impressions/formats/device_flushes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


def twins_of(public: FileDescriptor, types: Container[Any]) -> Callable[[str], Any]:
    """A function from a message's name to its twin: repeated fields of `types` become bytes."""
    file = FileDescriptorProto()
    public.CopyToProto(file)
    file.ClearField("service")
    for message in file.message_type:
        for field in message.field:
            if field.label == FieldDescriptorProto.LABEL_REPEATED and field.type in types:
                field.label = FieldDescriptorProto.LABEL_OPTIONAL
                field.type = FieldDescriptorProto.TYPE_BYTES
    pool = DescriptorPool()
    pool.Add(file)
    return lambda name: GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
