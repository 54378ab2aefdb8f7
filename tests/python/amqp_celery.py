"""What users of Celery, and those of aio-pika, do with RabbitMQ: one event for each thing that works."""

import asyncio
import sys

import aio_pika
from aio_pika.patterns import RPC
from celery import Celery, group
from celery.contrib.testing.worker import start_worker

from events import emit

url = 'amqp://guest:guest@127.0.0.1:%s//' % sys.argv[1]


def celery():
    app = Celery('tasks', broker=url, backend='rpc://')
    # Between events a worker looks whether it is to stop as often as it sends a heartbeat.
    app.conf.update(task_acks_late=True, worker_prefetch_multiplier=2, broker_heartbeat=2, task_queue_max_priority=5,
                    broker_connection_retry_on_startup=True)

    @app.task
    def add(x, y):
        return x + y

    @app.task(bind=True, max_retries=3)
    def flaky(self):
        if self.request.retries < 2:
            raise self.retry(countdown=0.1)
        return self.request.retries

    with start_worker(app, perform_ping_check=False, pool='solo'):
        got = [task.get(timeout=30) for task in [add.apply_async((i, i), priority=i % 5) for i in range(50)]]
        assert got == [2 * i for i in range(50)], got
        emit('tasks')
        assert flaky.delay().get(timeout=30) == 2
        emit('retries')
        assert group(add.s(i, 1) for i in range(10)).apply_async().get(timeout=30) == list(range(1, 11))
        emit('group')
        # Of the worker's own queue, and an exchange for all workers.
        assert app.control.ping(timeout=20, limit=1), 'no worker answers'
        emit('control')
    app.close()


async def asynchronous():
    connection = await aio_pika.connect_robust(url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=5)
        exchange = await channel.declare_exchange('aio', aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue('aio', durable=True)
        await queue.bind(exchange, 'a.#')
        # All at once: many messages are confirmed together.
        publishes = [exchange.publish(aio_pika.Message(b'%d' % i, delivery_mode=2, headers={'i': i}), 'a.b')
                     for i in range(200)]
        await asyncio.gather(*publishes)
        got = []
        async with queue.iterator(timeout=20) as messages:
            async for message in messages:
                async with message.process():
                    got.append(int(message.body))
                if len(got) == 200:
                    break
        assert sorted(got) == list(range(200)), got
        emit('iterator')
        plain = await connection.channel(publisher_confirms=False)
        async with plain.transaction():
            await plain.default_exchange.publish(aio_pika.Message(b'together'), 'aio')
        message = await queue.get(timeout=20)
        assert message.body == b'together'
        await message.ack()
        emit('transaction')
        rpc = await RPC.create(await connection.channel())

        async def multiply(*, x, y):
            return x * y

        await rpc.register('multiply', multiply, auto_delete=True)
        assert await rpc.proxy.multiply(x=6, y=7) == 42
        emit('rpc')
        await queue.delete(if_unused=False, if_empty=False)


celery()
asyncio.run(asynchronous())
