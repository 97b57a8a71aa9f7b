"""Kafka: the topics, as every process that uses them sees them.

    client                settings to the configurations of the clients; where the broker is
    admin                 Kafka's admin client with deadlines
    topics                the four topics: what each must be, creating and checking them
    offsets               where partitions begin and end, asked now
    unreplicated          records that a leader has appended and shows to no consumer yet
    last_record           whether a partition was truncated: its last applied record read again
    broker_clock          what time the broker has
    record_packing        impressions to records, each of one partition: pure
    decoded_batch         records to columns, each impression validated (land and speed)
    median_event_time     what time it is by the devices of a record
    dead_letters          what could not count: the messages of the rejected topic
    dead_letter_topic     reading that topic
    dead_letter_replay    a dead letter as a device flush to send again

The producer itself is `impressions.producer`. It does I/O, so it lies above the core.
"""
