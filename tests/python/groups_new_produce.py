"""Produces numbered messages, by turns into each partition.

Arguments: server, topic, partitions, first number, number after the last.
"""

import sys

from confluent_kafka import Producer

from events import emit

server, topic, partitions, first, end = sys.argv[1:]
producer = Producer({'bootstrap.servers': server, 'acks': 'all'})
for number in range(int(first), int(end)):
    producer.produce(topic, str(number).encode(), partition=number % int(partitions))
left = producer.flush(30)
assert left == 0, f"{left} messages were not acknowledged"
emit("done")
