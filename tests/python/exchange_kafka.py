"""Sends one keyed message with a header through kafka-python, or reads all that others sent."""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from events import emit, text

role, server, topic, name = sys.argv[1:5]
if role == 'send':
    producer = KafkaProducer(bootstrap_servers=server, acks='all')
    sent = producer.send(topic, name.encode(), key=b'key of ' + name.encode(),
                         headers=[('from', name.encode()), ('empty', b'')], timestamp_ms=1700000000123)
    done = sent.get(timeout=30)
    emit("sent", partition=done.partition, offset=done.offset)
    producer.close()
else:
    count = int(sys.argv[5])
    consumer = KafkaConsumer(bootstrap_servers=server, consumer_timeout_ms=30000)
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    for message in consumer:
        emit("message", offset=message.offset, key=text(message.key), value=text(message.value),
             headers=[[k, text(v)] for k, v in message.headers], timestamp=message.timestamp)
        count -= 1
        if count == 0:
            break
    consumer.close()
