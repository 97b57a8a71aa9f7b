"""Partitions that no member of the group has, while members idle: a wrong assignment.

A worker without partitions is right if there are more workers than partitions. It is wrong if
partitions have no owner: the group's leader assigned from metadata that did not show the topic yet,
or they are still assigned to a member that is gone. Joining again cures it, so the worker ends.
"""

from __future__ import annotations

from impressions.core.errors import ServiceError
from impressions.kafka.admin import connect
from impressions.settings.model import Settings


def unowned(settings: Settings) -> set[int]:
    """Partitions of the source without an owner, asked of the group's coordinator; blocking.

    Raises:
        ServiceError: the broker does not answer.
    """
    group, topic = settings.speed.group, settings.kafka.topic
    with connect(settings) as admin:
        future = admin.client.describe_consumer_groups([group], request_timeout=admin.timeout_s)
        try:
            members = future[group].result().members
        except Exception as error:  # confluent_kafka's own, in many kinds
            raise ServiceError(f"group {group}: {error}", reason="broker") from None
    owned = {
        tp.partition
        for member in members
        for tp in member.assignment.topic_partitions
        if tp.topic == topic
    }
    return set(range(settings.partitions)) - owned
