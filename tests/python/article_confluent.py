"""The article's first two examples with confluent-kafka: start to consume, send, receive."""

from confluent_kafka import Consumer, Producer

from events import emit, text

assigned = []
consumer = Consumer({
    'bootstrap.servers': 'localhost:9092',
    'group.id': 'article',
    'auto.offset.reset': 'earliest',
})
consumer.subscribe(['test'], on_assign=lambda _, partitions: assigned.extend(partitions))

producer = Producer({'bootstrap.servers': 'localhost:9092'})
reports = []
producer.produce('test', b'Hello, World!', key=b'k', on_delivery=lambda *r: reports.append(r))
producer.flush(30)
error, sent = reports[0]
emit("sent", error=str(error) if error else None, offset=sent.offset())

for _ in range(60):
    message = consumer.poll(1.0)
    if message is not None and not message.error():
        emit("message", value=text(message.value()), key=text(message.key()))
        break
consumer.close()
