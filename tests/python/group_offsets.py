"""Prints a group's committed offsets and the ends of the partitions.

Arguments: server, topic, group.
"""

import sys

from kafka import KafkaConsumer, TopicPartition

from events import emit

server, topic, group = sys.argv[1:]
consumer = KafkaConsumer(bootstrap_servers=server, group_id=group, enable_auto_commit=False)
partitions = [TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic))]
emit("offsets",
     committed={at.partition: consumer.committed(at) for at in partitions},
     begins={at.partition: n for at, n in consumer.beginning_offsets(partitions).items()},
     ends={at.partition: n for at, n in consumer.end_offsets(partitions).items()})
consumer.close()
