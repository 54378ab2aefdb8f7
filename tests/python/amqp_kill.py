"""Publishers and a consumer on a broker that is killed again and again: what was confirmed is there, in order."""

import sys
import threading
import time

import pika
from pika.exceptions import AMQPError, NackError

from events import emit

QUEUE, PUBLISHERS = 'killed', 6
port = int(sys.argv[1])
stopping = threading.Event()
confirmed = [0] * PUBLISHERS
seen = []
trouble = []


def channel(confirms=False):
    """A channel as soon as there is a broker."""
    while True:
        try:
            connection = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', port))
            made = connection.channel()
            made.queue_declare(QUEUE, durable=True, arguments={'x-queue-type': 'quorum', 'x-delivery-limit': -1})
            if confirms:
                made.confirm_delivery()
            return made
        except (AMQPError, OSError):
            time.sleep(0.05)  # poll: until the broker is back, bounded by the test


def publish(number):
    mine = channel(confirms=True)
    while not stopping.is_set():
        body = ('%d %d' % (number, confirmed[number])).encode()
        try:
            mine.basic_publish('', QUEUE, body, pika.BasicProperties(delivery_mode=2), mandatory=True)
        except (NackError, AMQPError, OSError):
            mine = channel(confirms=True)
            continue
        confirmed[number] += 1
        if confirmed[number] % 20 == 0:
            emit('confirmed', publisher=number, count=confirmed[number])


def consume():
    """Takes some of what comes, and leaves the rest in the queue."""
    mine = channel()
    while not stopping.is_set():
        try:
            mine.basic_qos(prefetch_count=50)
            for method, _, body in mine.consume(QUEUE, inactivity_timeout=0.2):
                if method is not None:
                    seen.append(body)
                    mine.basic_ack(method.delivery_tag)
                if stopping.is_set():
                    mine.cancel()
                    return
        except (AMQPError, OSError):
            mine = channel()


def guarded(work, *args):
    try:
        work(*args)
    except BaseException as error:
        trouble.append(repr(error))
        emit('trouble', error=repr(error))


threads = [threading.Thread(target=guarded, args=(publish, number)) for number in range(PUBLISHERS)]
threads.append(threading.Thread(target=guarded, args=(consume,)))
for thread in threads:
    thread.start()
sys.stdin.readline()
stopping.set()
for thread in threads:
    thread.join()
assert not trouble, trouble
last = channel()
while True:
    method, _, body = last.basic_get(QUEUE, auto_ack=True)
    if method is None:
        break
    seen.append(body)
again = 0
for number in range(PUBLISHERS):
    mine = [int(body.split()[1]) for body in seen if body.startswith(b'%d ' % number)]
    missing = set(range(confirmed[number])) - set(mine)
    assert not missing, 'of publisher %d: lost %s' % (number, sorted(missing)[:10])
    first = list(dict.fromkeys(mine))
    again += len(mine) - len(first)
    assert first == sorted(first), 'of publisher %d: not in order' % number
emit('verified', confirmed=sum(confirmed), again=again)
