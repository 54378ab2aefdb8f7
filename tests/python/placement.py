"""Sends a hundred keyed messages to a topic of seven partitions and tells where they landed.

Arguments: kafka or confluent, server.
"""

import sys

from events import emit

kind, server = sys.argv[1:]
keys = [f"key {n}".encode() for n in range(100)]
if kind == 'kafka':
    from kafka import KafkaProducer
    from kafka.admin import KafkaAdminClient, NewTopic
    from kafka.errors import TopicAlreadyExistsError

    admin = KafkaAdminClient(bootstrap_servers=server)
    try:
        admin.create_topics([NewTopic('placed', 7, 1)])
    except TopicAlreadyExistsError:
        pass
    admin.close()
    producer = KafkaProducer(bootstrap_servers=server)
    sent = [producer.send('placed', key=key, value=b'') for key in keys]
    emit("sent", partitions=[future.get(timeout=30).partition for future in sent])
else:
    from confluent_kafka import Producer

    places = {}

    def report(error, message):
        if error:
            raise SystemExit(str(error))
        places[message.key()] = message.partition()

    producer = Producer({'bootstrap.servers': server, 'partitioner': 'murmur2_random'})
    for key in keys:
        producer.produce('placed', b'', key=key, on_delivery=report)
    producer.flush(30)
    emit("sent", partitions=[places[key] for key in keys])
