"""The topics, as everyone who touches them sees them. Lies beside the core: it does I/O.

    client         settings -> the clients' configurations; where the broker is
    admin          Kafka's admin client with deadlines
    topics         the four topics: names, what they must be, creating and checking them
    framing        where the logs of a record lie in its bytes, and how large a record may be
    logs           columns of logs by the public class: the definition, and the way without numba
    records        records of the source topic as judged columns (land and speed)
    dead_letters   what could not count: the rejected topic's messages
    revival        a dead letter as a log to send again
    packing        impressions of many profiles -> records, one partition each (the producer)

The producer itself is `impressions.producer`.
"""
