"""Reads the flights as a member of a group, or alone from the start, and notes what it read.

Arguments: server, topic, group (empty: alone), the file for the notes. The notes are those of
flights_produce.py, and a line `assigned` whenever the partitions change hands.
"""

import sys
import time
import zlib

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition

from events import emit, told

server, topic, group, notes = sys.argv[1:]
stop = told()
out = open(notes, 'w')


class Hands(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        out.write("revoked\n")

    def on_partitions_assigned(self, assigned):
        out.write("assigned\n")
        emit("assigned", partitions=sorted(at.partition for at in assigned))


consumer = KafkaConsumer(bootstrap_servers=server, group_id=group or None,
                         enable_auto_commit=bool(group), auto_commit_interval_ms=500,
                         auto_offset_reset='earliest', session_timeout_ms=6000,
                         heartbeat_interval_ms=1000, max_poll_records=2000)
if group:
    consumer.subscribe([topic], listener=Hands())
else:
    consumer.assign([TopicPartition(topic, n) for n in range(6)])
    consumer.seek_to_beginning()
    out.write("assigned\n")

count, said = 0, 0.0
while not stop.is_set():
    # A long time-out on purpose. When a poll of kafka-python 3.0.12 times out in the few
    # milliseconds between its JoinGroup and its SyncGroup, the next one takes the group for joined:
    # the assignment is never used and no heartbeat is sent. Polls that seldom time out seldom do it
    # there.
    for at, records in consumer.poll(timeout_ms=3000).items():
        for record in records:
            number = record.value.split(b',', 1)[0].decode()
            key = record.key.decode()
            out.write(f"{at.partition}\t{record.offset}\t{key}\t{number}\t{zlib.crc32(record.value)}\n")
        count += len(records)
    if time.monotonic() - said > 0.2:
        said = time.monotonic()
        out.flush()
        positions = {at.partition: consumer.position(at) for at in consumer.assignment()}
        emit("progress", count=count, positions=positions)
out.flush()
consumer.close()  # Commits what was read, and leaves the group.
out.close()
