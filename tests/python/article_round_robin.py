"""The article's keyed producer with a round-robin partitioner, on a topic of three partitions."""

import itertools

import kafka
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from events import emit

if kafka.__version__.startswith('1.'):
    # The class that the article names; an instance, because the bare class never worked.
    from kafka.partitioner.roundrobin import RoundRobinPartitioner
else:
    from kafka.partitioner import Partitioner

    class RoundRobinPartitioner(Partitioner):
        """Later releases have none; this is what one looks like there."""

        def __init__(self):
            self.turn = itertools.count()

        def partition(self, topic, key, serialized_key, value, serialized_value, cluster):
            partitions = sorted(cluster.partitions_for_topic(topic))
            return partitions[next(self.turn) % len(partitions)]

admin = KafkaAdminClient(bootstrap_servers='localhost:9092')
admin.create_topics([NewTopic('turns', num_partitions=3, replication_factor=1)])
admin.close()

producer = KafkaProducer(bootstrap_servers='localhost:9092', partitioner=RoundRobinPartitioner())
sent = [producer.send('turns', key=b'same key', value=b'%d' % n) for n in range(9)]
producer.flush()
emit("sent", partitions=[future.get(timeout=30).partition for future in sent])
