"""Writes to a JetStream stream through every death of its server and notes what was acknowledged, or reads it whole.

Arguments: produce or read, server, the stream's name, the file for the notes: a message's text, a line each.
"""

import asyncio
import sys

import nats
from nats.errors import Error
from nats.js.api import StorageType
from nats.js.errors import NotFoundError

from events import emit, told

what, server, name, notes = sys.argv[1:]
filler = 'x' * 80


async def connect():
    async def quiet(_):
        pass

    return await nats.connect(f'nats://{server}', max_reconnect_attempts=-1, reconnect_time_wait=0.02, error_cb=quiet)


async def produce():
    stop = told()
    nc = await connect()
    js = nc.jetstream(timeout=5)
    counts = {'sent': 0, 'acknowledged': 0}
    with open(notes, 'w') as out:
        async def one_after_another():
            while not stop.is_set():
                number = counts['sent']
                counts['sent'] += 1
                text = f'{number}-{filler}'
                try:
                    await js.publish(f'{name}.x', text.encode())
                except (Error, asyncio.TimeoutError):
                    # Nobody knows whether it is there; it counts for nothing.
                    await asyncio.sleep(0.02)  # poll: the server is back, the test bounds it
                    continue
                counts['acknowledged'] += 1
                out.write(text + '\n')

        async def say():
            while not stop.is_set():
                emit('progress', **counts)
                await asyncio.sleep(0.02)  # poll: how often it says so
                try:
                    await js.stream_info(name)
                except NotFoundError:
                    await js.add_stream(name=name, subjects=[f'{name}.>'], storage=StorageType.FILE)
                except (Error, asyncio.TimeoutError):
                    pass

        await asyncio.gather(say(), *(one_after_another() for _ in range(64)))
    emit('done', **counts)


async def read():
    nc = await connect()
    js = nc.jetstream(timeout=20)
    last = (await js.stream_info(name)).state.last_seq
    count = 0
    with open(notes, 'w') as out:
        subscription = await js.subscribe(f'{name}.>', ordered_consumer=True)
        while True:
            try:
                message = await subscription.next_msg(10)
            except (Error, asyncio.TimeoutError):
                break
            out.write(message.data.decode() + '\n')
            count += 1
            if message.metadata.sequence.stream >= last:
                break
    emit('done', count=count)


asyncio.run(produce() if what == 'produce' else read())
