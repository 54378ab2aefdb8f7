"""Publishes to a quorum queue through every death of its server and notes what was confirmed, or drains it.

Arguments: produce or read, server, the queue's name, the file for the notes: a message's text, a line each.
"""

import sys
import time

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

from events import emit, told

what, server, name, notes = sys.argv[1:]
host, port = server.split(':')
filler = 'x' * 80
counts = {'sent': 0, 'acknowledged': 0}


def connect():
    """A channel, once the server gives one."""
    parameters = pika.ConnectionParameters(host, int(port), socket_timeout=5, blocked_connection_timeout=20)
    deadline = time.monotonic() + 90
    while True:
        try:
            channel = pika.BlockingConnection(parameters).channel()
            channel.queue_declare(name, durable=True, arguments={'x-queue-type': 'quorum'})
            # Seen with RabbitMQ 3.10.8: what comes before the queue has found a leader again is never confirmed.
            time.sleep(2)  # poll: nothing tells when it has; bounded
            return channel
        except (AMQPError, OSError):
            emit('progress', **counts)
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # poll: until the server is back


def produce():
    stop = told()
    persistent = pika.BasicProperties(delivery_mode=2)
    with open(notes, 'w') as out:
        channel = None
        while not stop.is_set():
            if channel is None:
                channel = connect()
                channel.confirm_delivery()
            text = f"{counts['sent']}-{filler}"
            counts['sent'] += 1
            try:
                channel.basic_publish('', name, text.encode(), persistent, mandatory=True)
            except (NackError, UnroutableError):
                continue
            except (AMQPError, OSError):
                channel = None
                continue
            counts['acknowledged'] += 1
            out.write(text + '\n')
            if counts['acknowledged'] % 20 == 0:
                emit('progress', **counts)
    emit('done', **counts)


def read():
    channel = connect()
    count = 0
    channel.basic_qos(prefetch_count=1000)
    with open(notes, 'w') as out:
        for method, _, body in channel.consume(name, inactivity_timeout=10):
            if method is None:
                break
            out.write(body.decode() + '\n')
            channel.basic_ack(method.delivery_tag)
            count += 1
    emit('done', count=count)


produce() if what == 'produce' else read()
