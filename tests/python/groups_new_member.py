"""A member of a consumer group of the new protocol (KIP-848), until its input is closed.

Commits each message before it prints it: what was printed is never read again by another member
that starts from the committed offset, and what was not printed is.

Arguments: server, group, topic or pattern (from ^ on), and a user if one must log in.
"""

import sys

from confluent_kafka import Consumer, KafkaException

from events import emit, told

server, group, topic, *users = sys.argv[1:]
login = [{'security.protocol': 'SASL_PLAINTEXT', 'sasl.mechanism': 'PLAIN', 'sasl.username': user,
          'sasl.password': user + '-secret'} for user in users]
closed = told()


def partitions(assigned):
    return sorted([p.topic, p.partition] for p in assigned)


consumer = Consumer({
    'bootstrap.servers': server,
    'group.id': group,
    'group.protocol': 'consumer',
    'auto.offset.reset': 'earliest',
    'enable.auto.commit': False,
    'topic.metadata.refresh.interval.ms': 500,
    'reconnect.backoff.max.ms': 500,
    **(login[0] if login else {}),
})
consumer.subscribe(
    [topic],
    on_assign=lambda _, assigned: emit("assigned", partitions=partitions(assigned)),
    on_revoke=lambda _, revoked: emit("revoked", partitions=partitions(revoked)),
    on_lost=lambda _, lost: emit("lost", partitions=partitions(lost)),
)
emit("started")
owned = None
while not closed.is_set():
    message = consumer.poll(0.1)
    now = partitions(consumer.assignment())
    if now != owned:
        owned = now
        emit("owns", partitions=owned)
    if message is None:
        continue
    if message.error() is not None:
        emit("error", text=str(message.error()), fatal=message.error().fatal())
        continue
    fields = dict(topic=message.topic(), partition=message.partition(), offset=message.offset())
    emit("read", value=message.value().decode(), **fields)
    try:
        consumer.commit(message, asynchronous=False)
        emit("committed", **fields)
    except KafkaException as error:
        # The member has a new epoch, or the broker is gone: read again later.
        emit("refused", text=str(error))
consumer.close()
emit("closed")
