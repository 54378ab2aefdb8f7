"""Sends without pause through every death of the broker, and notes what was acknowledged.

Arguments: server, topic, the producer's name, compression, the file for the notes. A message's
value is the name, a dash, and the message's number. A note is partition, offset and value, parted
by tabs.
"""

import sys
import time

from confluent_kafka import KafkaException, Producer

from events import emit, told

server, topic, name, compression, notes = sys.argv[1:]
stop = told()
producer = Producer({
    'bootstrap.servers': server,
    'acks': 'all',
    'compression.type': compression,
    'linger.ms': 2,
    'max.in.flight.requests.per.connection': 5,
    'batch.num.messages': 200,
    # Nothing is given up: what the broker did not take is sent again until it does.
    'message.timeout.ms': 600000,
    'retry.backoff.ms': 20,
    'retry.backoff.max.ms': 200,
    'reconnect.backoff.ms': 20,
    'reconnect.backoff.max.ms': 200,
    'log_level': 0,
})
out = open(notes, 'w')
sent = acknowledged = 0
filler = 'x' * 80


def report(error, message):
    global acknowledged
    if error:
        raise KafkaException(error)
    acknowledged += 1
    out.write(f"{message.partition()}\t{message.offset()}\t{message.value().decode()}\n")


said = 0.0
while not stop.is_set():
    # Bounded by what waits, so that the broker's death makes us wait and not pile up.
    if len(producer) < 2000:
        for _ in range(50):
            producer.produce(topic, f"{name}-{sent}-{filler}", on_delivery=report)
            sent += 1
    producer.poll(0.01)
    if time.monotonic() - said > 0.02:
        said = time.monotonic()
        emit("progress", sent=sent, acknowledged=acknowledged)
left = producer.flush(60)
out.close()
emit("done", sent=sent, acknowledged=acknowledged, left=left)
