"""A subscriber, a responder or an asker with nats-py. Arguments: the URL, the role, and its subject."""

import asyncio
import sys

import nats

from events import emit
from nats_flushed import flushed


async def main():
    url, role, subject = sys.argv[1:4]
    nc = await nats.connect(url, connect_timeout=20)

    async def tell(msg):
        emit('message', subject=msg.subject, text=msg.data.decode(), headers=dict(msg.headers or {}))

    async def answer(msg):
        await msg.respond(str(2 * int(msg.data)).encode())
        emit('answered', to=msg.reply)

    if role == 'ask':
        reply = await nc.request(subject, b'21', timeout=60)
        emit('answer', text=reply.data.decode())
        return await nc.close()
    await nc.subscribe(subject, cb=tell if role == 'subscribe' else answer)
    await flushed(nc)
    emit('ready')
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await nc.close()


asyncio.run(main())
