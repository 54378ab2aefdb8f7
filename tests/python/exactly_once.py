"""Copies a topic into another, each message once, through every death of the broker: consume,
transform, produce and commit offsets in transactions. Then reads the copy back.

Arguments: server, topic to read, topic to write, number of messages.
"""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from events import emit

server, source, target, total = sys.argv[1:]
total = int(total)
quick = {
    'bootstrap.servers': server,
    'log_level': 0,
    'retry.backoff.ms': 20,
    'retry.backoff.max.ms': 200,
    'reconnect.backoff.ms': 20,
    'reconnect.backoff.max.ms': 200,
    # With its default, "rebootstrap", librdkafka 2.16 can wait for ever on a broker that it has
    # itself discarded, when all brokers went away while it looked for a coordinator.
    'metadata.recovery.strategy': 'none',
}


def reader(group, topic):
    consumer = Consumer({
        **quick,
        'group.id': group,
        'isolation.level': 'read_committed',
        'auto.offset.reset': 'earliest',
        'enable.auto.commit': False,
    })
    consumer.subscribe([topic])
    return consumer


def until_known(call):
    """Repeats a call of which it is not known whether it worked."""
    while True:
        try:
            return call()
        except KafkaException as error:
            if not error.args[0].retriable():
                raise


def new_producer():
    producer = Producer({
        **quick,
        'transactional.id': 'copier',
        'transaction.timeout.ms': 60000,
        'linger.ms': 1,
    })
    until_known(lambda: producer.init_transactions(10))
    return producer


def copy(producer, consumer, messages):
    """Copies in one transaction; False where it was aborted, or may have been."""
    try:
        producer.begin_transaction()
        for message in messages:
            producer.produce(target, message.value(), key=message.key())
        after = [
            TopicPartition(message.topic(), message.partition(), message.offset() + 1)
            for message in messages
        ]
        group = consumer.consumer_group_metadata()
        until_known(lambda: producer.send_offsets_to_transaction(after, group, 10))
        until_known(lambda: producer.commit_transaction(10))
        return True
    except KafkaException as error:
        if not error.args[0].txn_requires_abort():
            raise
        until_known(lambda: producer.abort_transaction(10))
        return False


def rewind(consumer):
    """Goes back to what is committed, and says how much that is."""
    copied = 0
    for partition in until_known(lambda: consumer.committed(consumer.assignment(), 10)):
        copied += max(partition.offset, 0)
        if partition.offset < 0:
            partition.offset = OFFSET_BEGINNING
        consumer.seek(partition)
    return copied


filler = Producer({**quick, 'enable.idempotence': True})
for number in range(total):
    filler.produce(source, f"message {number}")
    filler.poll(0)
filler.flush(60)
consumer = reader('copiers', source)
producer = new_producer()
copied = aborted = renewed = 0
while copied < total:
    messages = [message for message in consumer.consume(100, 0.2) if not message.error()]
    if not messages:
        continue
    try:
        worked = copy(producer, consumer, messages)
    except KafkaException as error:
        emit("renewed", why=str(error))
        producer = new_producer()
        worked = False
        renewed += 1
    if worked:
        copied += len(messages)
        emit("progress", copied=copied)
    else:
        aborted += 1
        copied = rewind(consumer)
consumer.close()

# A message that was copied twice would be read within the time that the last one takes.
check = reader('checkers', target)
seen = []
while len(seen) < total or (message := check.poll(3.0)) is not None:
    if len(seen) < total:
        message = check.poll(30.0)
        if message is None:
            break
    if not message.error():
        seen.append(message.value().decode())
check.close()
emit("done", read=len(seen), distinct=len(set(seen)), aborted=aborted, renewed=renewed)
