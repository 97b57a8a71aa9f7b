"""The Python client of the impressions service. Import everything from here:

    from impressions.client import ImpressionsClient, Top

    with ImpressionsClient("127.0.0.1:50051") as client:
        result = client.get(42, titles=[7, 9], top=Top(10, "plays", 7))
        result.title_ids, result.decayed["plays", 7], result.context.complete

Modules of this folder:

    service_client       ImpressionsClient: get, get_many, stream, describe
    channel_options      how it connects: retries, balancing, connections
    requests             arguments of a call to a request message
    response_messages    the response messages with their columns as bytes
    result               ProfileResult and its Context: numpy columns
    failures             CallFailed: the reason of the server, what to do

It imports grpc, protobuf and numpy only.
"""

from impressions.client.failures import CallFailed
from impressions.client.result import Context, ProfileResult
from impressions.client.service_client import ImpressionsClient
from impressions.core.top import Top

__all__ = ["CallFailed", "Context", "ImpressionsClient", "ProfileResult", "Top"]
