"""The article's consumer; it says when it stands at the end, so that the test knows what `now` is."""

from kafka import KafkaConsumer

from events import emit, text, told

stop = told()
consumer = KafkaConsumer('test', bootstrap_servers='localhost:9092')
waiting = []
while not consumer.assignment():
    for records in consumer.poll(timeout_ms=100).values():
        waiting += records
positions = {str(at.partition): consumer.position(at) for at in consumer.assignment()}
emit("ready", positions=positions, early=[text(message.value) for message in waiting])
# The article iterates for ever; ending is the test's business.
while not stop.is_set():
    for records in consumer.poll(timeout_ms=100).values():
        for message in records:
            emit("message", value=text(message.value), offset=message.offset)
consumer.close()
