"""Errors to gRPC statuses: one table; a test proves that it is complete.

    situation                                code                   details
    an invalid request                       INVALID_ARGUMENT       BadRequest naming the field
    shard not owned by this host             FAILED_PRECONDITION    ErrorInfo: shard, owned shards
    no generation loaded, server stopping    UNAVAILABLE            RetryInfo
    corrupt block                            DATA_LOSS              (for that profile only)
    full                                     RESOURCE_EXHAUSTED     RetryInfo
    an answer above the limit of bytes       RESOURCE_EXHAUSTED
    no file descriptor left                  UNAVAILABLE            RetryInfo
    deadline passed                          DEADLINE_EXCEEDED
    no or wrong token                        UNAUTHENTICATED
    everything else                          INTERNAL               a defect or a broken install

Every status carries an ErrorInfo: `reason` in capitals, domain `impressions.v1`, and the hint, if
there is one, in its metadata. A text gives the actual and the expected value; it never contains a
traceback or a path of the server.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from impressions.core.errors import (
    AuditFailed,
    CorruptData,
    ImpressionsError,
    MissingDependency,
    NotReady,
    Refused,
    ServiceError,
    SettingsError,
    UsageError,
)
from serving.requests import InvalidField

DOMAIN = "impressions.v1"
RETRY_AFTER_MS = 500

Code = grpc.StatusCode

# By class: the nearest ancestor that is listed here.
BY_CLASS: dict[type[ImpressionsError], grpc.StatusCode] = {
    ImpressionsError: Code.INTERNAL,
    UsageError: Code.INVALID_ARGUMENT,
    SettingsError: Code.INTERNAL,
    MissingDependency: Code.INTERNAL,
    CorruptData: Code.DATA_LOSS,
    NotReady: Code.UNAVAILABLE,
    AuditFailed: Code.INTERNAL,
    Refused: Code.FAILED_PRECONDITION,
    ServiceError: Code.UNAVAILABLE,
}

# A reason that has a code of its own.
BY_REASON: dict[str, grpc.StatusCode] = {
    "overloaded": Code.RESOURCE_EXHAUSTED,
    "answer_too_large": Code.RESOURCE_EXHAUSTED,
    "deadline_exceeded": Code.DEADLINE_EXCEEDED,
    "cancelled": Code.CANCELLED,
    "unauthenticated": Code.UNAUTHENTICATED,
}

_RETRY_MAY_HELP = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)


class ShardNotOwned(Refused):
    """A profile of a shard that another host serves."""

    reason = "shard_not_owned"

    def __init__(self, shard: int, owned: tuple[int, ...]):
        self.shard, self.owned = shard, ",".join(map(str, owned))
        super().__init__(
            f"shard {shard} is not served by this host, which owns shards {self.owned or 'none'}",
            hint="ask a host that owns the shard; DescribeResponse.shards lists them",
        )


class AnswerTooLarge(Refused):
    """An answer of more bytes than a call may have; a retry does not help."""

    reason = "answer_too_large"


def code_of(error: Exception) -> grpc.StatusCode:
    """The gRPC code of an error; INTERNAL for an exception of another library."""
    if not isinstance(error, ImpressionsError):
        return Code.INTERNAL
    if error.reason in BY_REASON:
        return BY_REASON[error.reason]
    return next(BY_CLASS[kind] for kind in type(error).__mro__ if kind in BY_CLASS)


def text_of(error: Exception) -> str:
    """The text for the caller. Unexpected errors are described in the server's log only."""
    return error.message if isinstance(error, ImpressionsError) else "internal error"


def reason_of(error: Exception) -> str:
    return error.reason if isinstance(error, ImpressionsError) else "internal"


def status_of(error: Exception) -> status_pb2.Status:
    """The rich status of an error."""
    code = code_of(error)
    status = status_pb2.Status(code=code.value[0], message=text_of(error))
    for detail in _details(error, code):
        status.details.add().Pack(detail)
    return status


def _details(error: Exception, code: grpc.StatusCode) -> list[Any]:
    info = details.ErrorInfo(reason=reason_of(error).upper(), domain=DOMAIN)
    if isinstance(error, ImpressionsError) and error.hint:
        info.metadata["hint"] = error.hint
    if isinstance(error, ShardNotOwned):
        info.metadata["shard"], info.metadata["owned_shards"] = str(error.shard), error.owned
    packed: list[Any] = [info]
    if isinstance(error, InvalidField):
        violation = details.BadRequest.FieldViolation(field=error.field, description=error.message)
        packed.append(details.BadRequest(field_violations=[violation]))
    if code in _RETRY_MAY_HELP and not isinstance(error, AnswerTooLarge):
        packed.append(details.RetryInfo(retry_delay=Duration(nanos=RETRY_AFTER_MS * 1_000_000)))
    return packed
