"""A producer and a consumer that do what each line of the input says, a JSON object each.

The argument names the client: `kafka` is kafka-python, `confluent` librdkafka, which can say more: headers without a
value, records without key and value. Bytes are text here: a character for each byte (Latin-1), null for none.
"""

import json
import sys

from events import emit


def octets(text):
    return None if text is None else text.encode('latin-1')


def text(value):
    return None if value is None else value.decode('latin-1')


class KafkaPython:
    def __init__(self):
        import kafka

        self.kafka = kafka
        self.producer = None

    def send(self, server, topic, key, value, headers, timestamp):
        if self.producer is None:
            self.producer = self.kafka.KafkaProducer(bootstrap_servers=server, acks='all')
        sent = self.producer.send(topic, value, key=key, headers=headers, timestamp_ms=timestamp)
        sent.get(timeout=60)

    def read(self, server, topic):
        consumer = self.kafka.KafkaConsumer(bootstrap_servers=server, consumer_timeout_ms=60000)
        numbers = sorted(consumer.partitions_for_topic(topic))
        partitions = [self.kafka.TopicPartition(topic, number) for number in numbers]
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            for records in consumer.poll(timeout_ms=1000).values():
                for record in records:
                    yield record.partition, record.key, record.value, record.headers, record.timestamp
        consumer.close()


class Confluent:
    def __init__(self):
        import confluent_kafka

        self.kafka = confluent_kafka
        self.producer = None

    def send(self, server, topic, key, value, headers, timestamp):
        if self.producer is None:
            self.producer = self.kafka.Producer({'bootstrap.servers': server})
        told = []
        # Zero is for the client's own time.
        when = {} if timestamp is None else {'timestamp': timestamp}
        self.producer.produce(topic, value, key, headers=headers, on_delivery=lambda *all: told.append(all), **when)
        self.producer.flush(60)
        assert told and told[0][0] is None, told

    def read(self, server, topic):
        consumer = self.kafka.Consumer({
            'bootstrap.servers': server, 'group.id': 'nobody', 'enable.auto.commit': False})
        numbers = sorted(consumer.list_topics(topic, 60).topics[topic].partitions)
        partitions = [self.kafka.TopicPartition(topic, number, 0) for number in numbers]
        missing = sum(consumer.get_watermark_offsets(partition, 60)[1] for partition in partitions)
        consumer.assign(partitions)
        while missing:
            record = consumer.poll(60)
            assert record is not None and record.error() is None, record
            yield record.partition(), record.key(), record.value(), record.headers() or [], record.timestamp()[1]
            missing -= 1
        consumer.close()


client = {'kafka': KafkaPython, 'confluent': Confluent}[sys.argv[1]]()
emit('ready')
for line in sys.stdin:
    command = json.loads(line)
    server, topic = command['server'], command['topic']
    if command['do'] == 'send':
        headers = [(name, octets(value)) for name, value in command['headers']]
        key, value = octets(command['key']), octets(command['value'])
        client.send(server, topic, key, value, headers, command['timestamp'])
        emit('sent')
    else:
        emit('records', records=[{
            'partition': partition, 'key': text(key), 'value': text(value),
            'headers': [[name, text(value)] for name, value in headers], 'timestamp': timestamp,
        } for partition, key, value, headers, timestamp in client.read(server, topic)])
