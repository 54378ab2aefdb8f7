"""Reads a topic whole and notes it: partition, offset and value, parted by tabs.

Arguments: server, topic, number of partitions, the file for the notes.
"""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from events import emit

server, topic, partitions, notes = sys.argv[1:]
consumer = Consumer({
    'bootstrap.servers': server,
    'group.id': 'unused',
    'enable.auto.commit': False,
    'enable.partition.eof': True,
    'check.crcs': True,
})
unfinished = set(range(int(partitions)))
consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in unfinished])
count, patience = 0, 30
with open(notes, 'w') as out:
    while unfinished:
        # Returns once it has so many, or its time is up: a short one, the end has fewer.
        messages = consumer.consume(5000, 0.5)
        patience = 30 if messages else patience - 0.5
        if patience <= 0:
            raise SystemExit(f"no end of partitions {sorted(unfinished)} in 30 seconds")
        for message in messages:
            if message.error() is None:
                out.write(f"{message.partition()}\t{message.offset()}\t{message.value().decode()}\n")
                count += 1
            elif message.error().code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition())
            else:
                raise SystemExit(str(message.error()))
consumer.close()
emit("done", count=count)
