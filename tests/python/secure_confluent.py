"""Produces a message through confluent-kafka and reads the topic, or says that it was not let in.
Arguments: topic, settings as JSON."""

import json
import sys

from confluent_kafka import Consumer, KafkaError, Producer

from events import emit, text

topic, settings = sys.argv[1], json.loads(sys.argv[2])
refused = []


def failed(error):
    # With TLS 1.3 a client learns only after the handshake that its certificate was missed.
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._ALL_BROKERS_DOWN):
        refused.append(error.str())


def report(error, message):
    if not error:
        emit("sent", offset=message.offset())
        sent.append(message.offset())


sent = []
producer = Producer({'acks': 'all', 'error_cb': failed, **settings})
producer.produce(topic, b'from confluent', on_delivery=report)
while not sent and not refused:
    producer.flush(0.1)
if refused:
    emit("refused", why=refused[0])
    producer.purge()
    sys.exit(0)
consumer = Consumer({'group.id': 'others', 'auto.offset.reset': 'earliest', **settings})
consumer.subscribe([topic])
while True:
    message = consumer.poll(30)
    if message is None or message.error():
        raise SystemExit(f"no message: {message and message.error()}")
    emit("message", offset=message.offset(), value=text(message.value()))
    if message.offset() == sent[0]:
        break
consumer.close()
