"""Publishes by a stream, through any number of deaths of its broker, until its input ends: then says what was acknowledged."""

import itertools
import queue
import sys
import threading
import time

import grpc

from events import emit, told
from grpc_generated import pb

# Requests that are on their way.
WINDOW = 64


class Publisher:
    def __init__(self, port):
        self.target = f'127.0.0.1:{port}'
        self.numbers = itertools.count(1)
        self.acknowledged = []
        self.ended = told()

    def run(self):
        while not self.ended.is_set():
            options = [('grpc.initial_reconnect_backoff_ms', 20), ('grpc.max_reconnect_backoff_ms', 50)]
            with grpc.insecure_channel(self.target, options=options) as channel:
                try:
                    self.publish(channel)
                except grpc.RpcError:
                    # What was not acknowledged is not sent again: it is there once, or not at all.
                    time.sleep(0.01)  # poll: until the broker is back, bounded by the test
        emit('acknowledged', numbers=self.acknowledged)

    def publish(self, channel):
        sent, room = [], threading.Semaphore(WINDOW)
        requests = queue.Queue()

        def fill():
            while not self.ended.is_set() and not over.is_set():
                if room.acquire(timeout=0.1):
                    batch = [next(self.numbers) for _ in range(5)]
                    sent.extend(batch)
                    messages = [pb.Message(subject='k.stream', payload=b'%d' % n) for n in batch]
                    requests.put(pb.PublishStreamRequest(messages=messages))
            requests.put(None)

        over = threading.Event()
        filling = threading.Thread(target=fill, daemon=True)
        answers = pb.PublisherStub(channel).PublishStream(iter(requests.get, None))
        filling.start()
        decided = 0
        try:
            for answer in answers:
                failed = {failure.number for failure in answer.failures}
                numbers = range(decided + 1, answer.decided + 1)
                self.acknowledged += [sent[n - 1] for n in numbers if n not in failed]
                for _ in range((answer.decided - decided) // 5):
                    room.release()
                decided = answer.decided
        finally:
            over.set()
            filling.join()


Publisher(sys.argv[1]).run()
