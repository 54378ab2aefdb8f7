"""Sends messages with every compression, or reads all that others sent, as a client of an age.

Arguments: send, server, topic, version, name, compressions; or read, server, topic, version, count.
"""

import sys

from old_kafka import as_version

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from events import emit, text

TIME = 1700000000123
role, server, topic, version = sys.argv[1:5]


def bytes_of(text):
    return None if text is None else text.encode()


def send(name, compressions):
    own = as_version(version)
    timed = own.get("api_version", (0, 10)) >= (0, 10)
    more = {"headers": [("from", name.encode())]} if kafka.__version__[0] == "3" else {}
    for compression in compressions:
        producer = KafkaProducer(bootstrap_servers=server, linger_ms=100, acks=-1,
                                 compression_type=None if compression == "none" else compression, **own)
        messages = [(None, f"{name} {compression}"), ("", "empty key"), ("key", ""), ("deleted", None)]
        messages += [(f"key {n}", f"again and again {n} " * 20) for n in range(20)]
        sent = []
        for n, (key, value) in enumerate(messages):
            time = TIME + n if timed else None
            done = producer.send(topic, value=bytes_of(value), key=bytes_of(key), partition=0, **more,
                                 **({"timestamp_ms": time} if timed else {}))
            sent.append((done, key, value, time))
        for done, key, value, time in sent:
            emit("message", offset=done.get(timeout=30).offset, key=key, value=value, timestamp=time)
        producer.close()


def read(count):
    consumer = KafkaConsumer(bootstrap_servers=server, auto_offset_reset="earliest", **as_version(version))
    consumer.assign([TopicPartition(topic, 0)])
    while count > 0:
        for messages in consumer.poll(timeout_ms=500).values():
            for message in messages:
                emit("message", offset=message.offset, key=text(message.key), value=text(message.value),
                     timestamp=message.timestamp)
                count -= 1
    consumer.close()


if role == "send":
    send(sys.argv[5], sys.argv[6].split(","))
else:
    read(int(sys.argv[5]))
