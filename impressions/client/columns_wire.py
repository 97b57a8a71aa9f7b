"""Columns on the wire without a loop: a twin of the response messages, made of `bytes`.

A packed repeated field of fixed width is, byte for byte, a `bytes` field with the same number: tag,
length, little-endian values. So next to the public messages (impressions/v1) this module builds a
twin of each from the same descriptors, in which every such column is `bytes`:

    column in the proto     numpy dtype of its bytes
    repeated sfixed64       <i8
    repeated fixed32        <u4
    repeated double         <f8

The Python client reads `np.frombuffer` from the twin; for every other language nothing differs
(impressions/client/message_twins.py). The server puts its messages together from arrays by the same
identity (serving/frames.py).
"""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from impressions.client.message_twins import twins_of
from impressions.v1 import impressions_service_pb2 as public

DTYPES = {
    FieldDescriptorProto.TYPE_SFIXED64: "<i8",
    FieldDescriptorProto.TYPE_FIXED32: "<u4",
    FieldDescriptorProto.TYPE_DOUBLE: "<f8",
}


twin = twins_of(public.DESCRIPTOR, DTYPES)

GetProfileResponse = twin("GetProfileResponse")
BatchGetProfilesResponse = twin("BatchGetProfilesResponse")
StreamProfilesResponse = twin("StreamProfilesResponse")
AnswerContext = twin("AnswerContext")
ProfileAnswer = twin("ProfileAnswer")
ProfileResult = twin("ProfileResult")
