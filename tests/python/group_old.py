"""A member of a consumer group, as a client of an age: reads, commits, says what it is assigned.

Arguments: server, topic, group, version. Ends, and leaves the group, when its input is closed.
"""

import sys

from old_kafka import as_version

from kafka import KafkaConsumer

from events import emit, told

server, topic, group, version = sys.argv[1:]
consumer = KafkaConsumer(topic, bootstrap_servers=server, group_id=group, auto_offset_reset="earliest",
                         enable_auto_commit=False, heartbeat_interval_ms=200, **as_version(version))
ended = told()
assigned = None
while not ended.is_set():
    polled = consumer.poll(timeout_ms=200)
    now = sorted(at.partition for at in consumer.assignment())
    if now != assigned:
        assigned = now
        emit("assigned", partitions=assigned)
    for messages in polled.values():
        for message in messages:
            emit("message", partition=message.partition, offset=message.offset)
    if polled:
        consumer.commit()
        emit("committed", offsets={at.partition: consumer.committed(at) for at in sorted(polled)})
consumer.close()
