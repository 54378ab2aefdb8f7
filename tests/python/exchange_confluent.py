"""Sends one keyed message with a header through confluent-kafka, or reads all that others sent."""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from events import emit, text

role, server, topic, name = sys.argv[1:5]
if role == 'send':
    def report(error, message):
        if error:
            raise SystemExit(str(error))
        emit("sent", partition=message.partition(), offset=message.offset())

    producer = Producer({'bootstrap.servers': server, 'acks': 'all'})
    producer.produce(topic, name, key='key of ' + name, headers=[('from', name), ('empty', b'')],
                     timestamp=1700000000123, on_delivery=report)
    producer.flush(30)
else:
    count = int(sys.argv[5])
    consumer = Consumer({'bootstrap.servers': server, 'group.id': 'unused',
                         'enable.auto.commit': False})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    while count > 0:
        message = consumer.poll(30)
        if message is None or message.error():
            raise SystemExit(f"{count} messages are missing: {message and message.error()}")
        emit("message", offset=message.offset(), key=text(message.key()),
             value=text(message.value()), headers=[[k, text(v)] for k, v in message.headers() or []],
             timestamp=message.timestamp()[1])
        count -= 1
    consumer.close()
