"""Produces a message through kafka-python and reads the topic. Arguments: topic, settings as JSON."""

import json
import sys

from kafka import KafkaConsumer, KafkaProducer

from events import emit, text

topic, settings = sys.argv[1], json.loads(sys.argv[2])
producer = KafkaProducer(acks='all', **settings)
sent = producer.send(topic, b'from kafka-python').get(timeout=30)
producer.close()
emit("sent", offset=sent.offset)
consumer = KafkaConsumer(topic, auto_offset_reset='earliest', group_id='readers',
                         consumer_timeout_ms=20000, **settings)
for message in consumer:
    emit("message", offset=message.offset, value=text(message.value))
    if message.offset == sent.offset:
        break
consumer.close()
