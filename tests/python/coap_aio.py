"""What a user of aiocoap does, against a broker: one event for each thing that works."""

import asyncio
import sys

import cbor2
from aiocoap import (
    DELETE, FETCH, GET, POST, PUT, Context, Message, iPATCH)
from aiocoap.numbers.codes import Code

from events import emit

# application/core-pubsub+cbor, as the draft has it.
TOPIC = 606
JSON, MERGE_PATCH = 50, 52


class Client:
    def __init__(self, context, base):
        self.context, self.base = context, base

    def message(self, code, path, payload=b'', **options):
        message = Message(code=code, uri=self.base + path, payload=payload)
        for name, value in options.items():
            setattr(message.opt, name, value)
        return message

    async def ask(self, *args, **options):
        request = self.context.request(self.message(*args, **options))
        return await asyncio.wait_for(request.response, 60)


def is_code(response, wanted):
    assert response.code == wanted, (response.code, response.payload)
    return response


async def values(client):
    is_code(await client.ask(PUT, '/aio/room1', b'21.5', content_format=0), Code.CREATED)
    is_code(await client.ask(PUT, '/aio/room1', b'22.5', content_format=0), Code.CHANGED)
    response = is_code(await client.ask(GET, '/aio/room1'), Code.CONTENT)
    assert (response.payload, response.opt.content_format) == (b'22.5', 0)
    known = await client.ask(GET, '/aio/room1', etags=[response.opt.etag])
    is_code(known, Code.VALID)
    is_code(await client.ask(GET, '/aio/room1', accept=JSON), Code.NOT_ACCEPTABLE)
    is_code(await client.ask(DELETE, '/aio/room1'), Code.DELETED)
    is_code(await client.ask(GET, '/aio/room1'), Code.NOT_FOUND)
    emit('values')


async def pieces(client):
    body = bytes(range(256)) * 40
    is_code(await client.ask(PUT, '/aio/large', body), Code.CREATED)
    response = is_code(await client.ask(GET, '/aio/large'), Code.CONTENT)
    assert response.payload == body, len(response.payload)
    emit('pieces')


async def patches(client):
    is_code(await client.ask(PUT, '/aio/json', b'{"a":1}', content_format=JSON), Code.CREATED)
    again = await client.ask(PUT, '/aio/json', b'{}', content_format=JSON, if_none_match=True)
    is_code(again, Code.PRECONDITION_FAILED)
    patched = await client.ask(iPATCH, '/aio/json', b'{"b":2}', content_format=MERGE_PATCH)
    is_code(patched, Code.CHANGED)
    assert (await client.ask(GET, '/aio/json')).payload == b'{"a":1,"b":2}'
    emit('patches')


async def discovery(client):
    links = (await client.ask(GET, '/.well-known/core')).payload.decode()
    assert '</ps>;rt="core.ps core.ps.coll"' in links and '</aio/json>;ct=50;obs' in links, links
    links = (await client.ask(GET, '/.well-known/core', uri_query=['href=/aio/j*'])).payload
    assert links == b'</aio/json>;ct=50;obs', links
    emit('discovery')


async def topics(client):
    wanted = cbor2.dumps({0: 'room/aio', 2: 'core.ps.data'})
    response = is_code(await client.ask(POST, '/ps', wanted, content_format=TOPIC), Code.CREATED)
    topic = '/' + '/'.join(response.opt.location_path)
    whole = {0: 'room/aio', 1: '/room/aio', 2: 'core.ps.data'}
    assert cbor2.loads(response.payload) == whole
    assert cbor2.loads((await client.ask(GET, topic)).payload) == whole
    some = await client.ask(FETCH, topic, cbor2.dumps({9: [0, 1]}), content_format=TOPIC)
    assert cbor2.loads(some.payload) == {0: 'room/aio', 1: '/room/aio'}
    patched = await client.ask(iPATCH, topic, cbor2.dumps({6: 5}), content_format=TOPIC)
    assert cbor2.loads(is_code(patched, Code.CHANGED).payload) == {**whole, 6: 5}
    is_code(await client.ask(GET, '/room/aio'), Code.NOT_FOUND)
    is_code(await client.ask(PUT, '/room/aio', b'1'), Code.CREATED)
    emit('topics')
    return topic


async def observing(client, topic):
    request = client.context.request(client.message(GET, '/room/aio', observe=0))
    first = await asyncio.wait_for(request.response, 60)
    assert first.payload == b'1' and first.opt.observe is not None
    told = asyncio.Queue()

    async def watch():
        async for notification in request.observation:
            await told.put(notification)

    watching = asyncio.create_task(watch())
    for value in (b'2', b'3', b'x' * 3000):
        is_code(await client.ask(PUT, '/room/aio', value), Code.CHANGED)
        notification = await asyncio.wait_for(told.get(), 60)
        assert notification.payload == value, notification
    emit('observed')
    is_code(await client.ask(DELETE, topic), Code.DELETED)
    is_code(await asyncio.wait_for(told.get(), 60), Code.NOT_FOUND)
    watching.cancel()
    emit('ended')


async def main():
    role, port = sys.argv[1:]
    context = await Context.create_client_context()
    scheme = 'coap+tcp' if role == 'tcp' else 'coap'
    client = Client(context, f'{scheme}://127.0.0.1:{port}')
    await values(client)
    await pieces(client)
    await patches(client)
    await discovery(client)
    topic = await topics(client)
    await observing(client, topic)
    await context.shutdown()


asyncio.run(main())
