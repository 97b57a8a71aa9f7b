"""A call as a client in another language makes it: the public messages, and no code of ours."""

from __future__ import annotations

import grpc

from impressions.v1 import impressions_service_pb2 as pb


def get_profile(channel: grpc.Channel) -> grpc.UnaryUnaryMultiCallable:
    """The method over this channel."""
    return channel.unary_unary(
        "/impressions.v1.ImpressionsService/GetProfile",
        pb.GetProfileRequest.SerializeToString,
        pb.GetProfileResponse.FromString,
    )
