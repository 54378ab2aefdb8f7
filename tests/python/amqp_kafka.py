"""A queue as users of Kafka see it: a topic, which they read without consuming, and write to."""

import sys

from kafka import KafkaConsumer, KafkaProducer

from events import emit

bootstrap = sys.argv[1]
consumer = KafkaConsumer(
    'orders', bootstrap_servers=bootstrap, auto_offset_reset='earliest', consumer_timeout_ms=20000)
record = next(consumer)
headers = dict(record.headers)
assert (record.value, headers['n'], headers['content-type']) == (b'one', b'1', b'text/plain'), record
producer = KafkaProducer(bootstrap_servers=bootstrap, acks='all')
producer.send('orders', b'two', headers=[('from', b'kafka')]).get(20)
producer.close()
consumer.close()
emit('done')
