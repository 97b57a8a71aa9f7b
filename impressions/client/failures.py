"""Failed calls as one exception, with everything that the rich status of the server holds.

In: the error that gRPC raises, or the status of one result. Out: `CallFailed`, a ServiceError whose
`reason` is a short stable word: that of the server (`invalid_field`, `no_generation`,
`shard_not_owned`, `corrupt`, `overloaded`, ...), or the gRPC code in lower case if the server gave
none. What reads a rich status is imported at the first failure: most processes never have one, and
every one waits for its imports.
"""

from __future__ import annotations

from typing import Any

import grpc

from impressions.core.errors import ServiceError

_CHECK_SERVER = "check the address, and that `impressions serve` runs there"


class CallFailed(ServiceError):
    """A call, or one profile of it, that got no answer.

    Attributes:
        code: the gRPC code, such as `INVALID_ARGUMENT`.
        fields: request fields that the server refused.
        retry_after_s: the pause that the server asks for before a retry; None without one.
        metadata: other details of the server, such as `owned_shards`.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str | None = None,
        hint: str | None = None,
        fields: tuple[str, ...] = (),
        retry_after_s: float | None = None,
        metadata: dict[str, str] | None = None,
    ):
        super().__init__(message, hint=hint, reason=reason or code.lower())
        self.code, self.fields, self.retry_after_s = code, fields, retry_after_s
        self.metadata = metadata or {}


def failure_of(error: Any, target: str) -> CallFailed:
    """The failure of a call: `error` is the `grpc.RpcError` it raised, which is a Call."""
    from grpc_status import rpc_status

    code: grpc.StatusCode = error.code()
    status = rpc_status.from_call(error)
    if status is not None:
        return _from_details(status, code.name)
    text = error.details() or code.name
    hint = _CHECK_SERVER if code is grpc.StatusCode.UNAVAILABLE else None
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        hint = "allow more time (timeout_s), or ask for fewer profiles"
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:  # in a flood of calls, a refusal has no reason
        hint = "full, or more than a message may hold: retry later, elsewhere, or with less"
    if code is grpc.StatusCode.CANCELLED and text == code.name:  # by the server's gRPC
        hint = "the server's queue of new calls is full: retry later, or elsewhere"
    return CallFailed(f"{target}: {text}", code=code.name, hint=hint)


def failure_of_result(result: Any) -> CallFailed:
    """The failure of one profile in a batch or a stream."""
    from google.rpc import code_pb2

    status = result.status
    return CallFailed(
        f"profile {result.profile_id}: {status.message}",
        code=code_pb2.Code.Name(status.code),
        reason=status.reason or None,
    )


def _from_details(status: Any, code: str) -> CallFailed:
    from google.rpc import error_details_pb2 as details

    reason, hint, fields, retry_after_s = None, None, [], None
    metadata: dict[str, str] = {}
    for packed in status.details:
        info, bad, retry = details.ErrorInfo(), details.BadRequest(), details.RetryInfo()
        if packed.Unpack(info):
            metadata = dict(info.metadata)
            reason, hint = info.reason.lower(), metadata.pop("hint", None)
        elif packed.Unpack(bad):
            fields = [violation.field for violation in bad.field_violations]
        elif packed.Unpack(retry):
            retry_after_s = retry.retry_delay.ToTimedelta().total_seconds()
    return CallFailed(
        status.message,
        code=code,
        reason=reason,
        hint=hint,
        fields=tuple(fields),
        retry_after_s=retry_after_s,
        metadata=metadata,
    )
