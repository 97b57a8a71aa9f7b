"""Columns on the wire without a loop: a twin of the response messages, made of `bytes`.

A packed repeated field of fixed width is, byte for byte, a `bytes` field with the same number: tag,
length, little-endian values. So next to the public messages (impressions/v1) this module builds a
twin of each from the same descriptors, in which every such column is `bytes`:

    column in the proto     numpy dtype of its bytes
    repeated sfixed64       <i8
    repeated fixed32        <u4
    repeated double         <f8

The server writes `array.tobytes()` into the twin, the Python client reads `np.frombuffer` from it;
for every other language nothing differs. The twins live in a descriptor pool of their own, so the
public classes are untouched. One limit: a twin reads a column only where the sender wrote it packed
and in one piece, as every protobuf library does; the client checks that columns have equal length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

from impressions.v1 import impressions_service_pb2 as public

DTYPES = {
    FieldDescriptorProto.TYPE_SFIXED64: "<i8",
    FieldDescriptorProto.TYPE_FIXED32: "<u4",
    FieldDescriptorProto.TYPE_DOUBLE: "<f8",
}


def _twin_file() -> FileDescriptorProto:
    """The public file with every packed fixed-width column turned into `bytes`."""
    file = FileDescriptorProto()
    public.DESCRIPTOR.CopyToProto(file)
    file.ClearField("service")
    for message in file.message_type:
        for field in message.field:
            if field.label == FieldDescriptorProto.LABEL_REPEATED and field.type in DTYPES:
                field.label = FieldDescriptorProto.LABEL_OPTIONAL
                field.type = FieldDescriptorProto.TYPE_BYTES
    return file


_pool = DescriptorPool()
_pool.Add(_twin_file())


def twin(name: str) -> Any:
    """The twin class of a public message, such as `GetProfileResponse`."""
    return GetMessageClass(_pool.FindMessageTypeByName(f"impressions.v1.{name}"))


GetProfileResponse = twin("GetProfileResponse")
BatchGetProfilesResponse = twin("BatchGetProfilesResponse")
StreamProfilesResponse = twin("StreamProfilesResponse")
AnswerContext = twin("AnswerContext")
ProfileAnswer = twin("ProfileAnswer")
ProfileResult = twin("ProfileResult")


def int64_column(values: NDArray[np.integer]) -> bytes:
    return values.astype("<i8", copy=False).tobytes()


def uint32_column(values: NDArray[np.integer]) -> bytes:
    return values.astype("<u4", copy=False).tobytes()


def double_column(values: NDArray[np.float64]) -> bytes:
    return values.astype("<f8", copy=False).tobytes()
