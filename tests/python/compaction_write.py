"""Writes keys anew, again and again, to a compacted topic that it makes, until told to stop; now and
then in a transaction that it takes back. Says what is valid in the end.

Arguments: server, topic.
"""

import random
import sys

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from events import emit, told

KEYS = 300

server, topic = sys.argv[1:]
stop = told()
admin = AdminClient({'bootstrap.servers': server})
config = {
    'cleanup.policy': 'compact', 'segment.ms': '200', 'min.cleanable.dirty.ratio': '0.01',
    'delete.retention.ms': '500',
}
admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result()

keep_trying = {
    'bootstrap.servers': server, 'message.timeout.ms': 600000, 'retry.backoff.ms': 20,
    'retry.backoff.max.ms': 200, 'reconnect.backoff.ms': 20, 'reconnect.backoff.max.ms': 200,
    'log_level': 0,
}
producer = Producer({**keep_trying, 'enable.idempotence': True, 'compression.type': 'lz4',
                     'linger.ms': 5})
refused = []


def report(error, message):
    if error and message.key() is None:
        refused.append(error.name())
    elif error:
        raise KafkaException(error)


# What has no key has no place in such a topic.
producer.produce(topic, value='without a key', on_delivery=report)
producer.flush(60)
emit("refused", errors=refused)

valid, sent, aborted = {}, 0, 0
chance = random.Random(7)
while not stop.is_set():
    for _ in range(200):
        key = f"key {chance.randrange(KEYS)}"
        value = None if chance.randrange(10) == 0 else f"{sent} {'x' * chance.randrange(200)}"
        producer.produce(topic, key=key, value=value, on_delivery=report)
        valid[key] = value
        sent += 1
    while len(producer) > 1000:
        producer.poll(0.01)
    producer.poll(0)
    emit("progress", sent=sent)
left = producer.flush(120)

taken_back = Producer({**keep_trying, 'transactional.id': 'taken back',
                       'message.timeout.ms': 60000})
taken_back.init_transactions(60)
for round in range(3):
    taken_back.begin_transaction()
    for key in range(0, KEYS, 7):
        taken_back.produce(topic, key=f"key {key}", value='taken back')
    taken_back.flush(60)
    taken_back.abort_transaction(60)
emit("done", sent=sent, left=left, valid={k: v for k, v in valid.items() if v is not None})
