"""Reads a compacted topic from the start to its end until all that is superseded has gone from it,
or a while has passed. Says what it read the last time.

Arguments: server, topic, most seconds.
"""

import sys
import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from events import emit, text

server, topic, seconds = sys.argv[1:]
until = time.monotonic() + float(seconds)


def read():
    consumer = Consumer({
        'bootstrap.servers': server, 'group.id': 'not used', 'enable.partition.eof': True,
        'isolation.level': 'read_committed', 'enable.auto.commit': False, 'log_level': 0,
    })
    consumer.assign([TopicPartition(topic, 0, 0)])
    records, last = [], -1
    while True:
        message = consumer.poll(30)
        if message is None:
            raise SystemExit("the end was not reached")
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                break
            raise SystemExit(str(message.error()))
        if message.offset() <= last:
            raise SystemExit(f"offset {message.offset()} after {last}")
        last = message.offset()
        records.append((text(message.key()), text(message.value())))
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.close()
    return records, low, high


while True:
    records, low, high = read()
    valid = {}
    for key, value in records:
        valid[key] = value
    values = sum(value is not None for _, value in records)
    valid = {key: value for key, value in valid.items() if value is not None}
    emit("read", records=len(records), values=values, low=low, high=high)
    if values == len(valid) or time.monotonic() > until:
        break
    time.sleep(0.2)  # poll: compaction, bounded by the seconds given
emit("done", valid=valid, values=values, records=len(records), low=low, high=high)
