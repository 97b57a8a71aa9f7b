"""The response messages with their columns as bytes, so that no column is read in a loop.

A packed repeated field of fixed width is, byte for byte, a `bytes` field with the same number: tag,
length, little-endian values. So next to the public messages (impressions/v1), this module builds a
twin of each from the same descriptors, in which every such column is `bytes`:

    column in the proto     numpy dtype of its bytes
    repeated sfixed64       <i8
    repeated fixed32        <u4
    repeated double         <f8

The twins are in a descriptor pool of their own, so the public classes do not change. The client
reads the columns of a twin with `np.frombuffer`; clients in other languages use the public
messages. The server builds its responses from arrays in the same way (serving/frames.py).

A twin reads a column only if the sender wrote it packed and in one piece, as every protobuf library
does. So twins are for responses of our own server. Messages of other senders need a reader that
takes every form (impressions/formats/device_flushes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from impressions.v1 import impressions_service_pb2 as public

DTYPES = {
    FieldDescriptorProto.TYPE_SFIXED64: "<i8",
    FieldDescriptorProto.TYPE_FIXED32: "<u4",
    FieldDescriptorProto.TYPE_DOUBLE: "<f8",
}


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


twin = twins_of(public.DESCRIPTOR, DTYPES)

GetProfileResponse = twin("GetProfileResponse")
BatchGetProfilesResponse = twin("BatchGetProfilesResponse")
StreamProfilesResponse = twin("StreamProfilesResponse")
ProfileAnswer = twin("ProfileAnswer")
