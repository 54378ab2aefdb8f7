"""What a user of nats-py does, against a broker: one event for each thing that works."""

import asyncio
import ssl
import sys

import nats
from nats.errors import NoRespondersError, TimeoutError as NatsTimeout

from events import emit
from nats_flushed import flushed


async def options(url, **more):
    return await nats.connect(url, allow_reconnect=False, connect_timeout=20, **more)


async def messages(url):
    nc = await options(url, name='core')
    got = []

    async def note(msg):
        got.append((msg.subject, msg.data, msg.headers))

    await nc.subscribe('sensors.*.temp', cb=note)
    await nc.subscribe('sensors.>', cb=note)
    await nc.publish('sensors.a.temp', b'21.5', headers={'Unit': 'C', 'Place': 'here'})
    await nc.publish('sensors.b', b'on')
    await flushed(nc)
    while len(got) < 3:
        await asyncio.sleep(0.01)  # poll: until all three came, bounded by the test
    headers = {'Unit': 'C', 'Place': 'here'}
    assert sorted(got, key=str) == sorted(
        [('sensors.a.temp', b'21.5', headers)] * 2 + [('sensors.b', b'on', None)], key=str), got
    emit('messages')
    sub = await nc.subscribe('few')
    await sub.unsubscribe(limit=2)
    for number in range(5):
        await nc.publish('few', str(number).encode())
    assert [(await sub.next_msg(20)).data for _ in range(2)] == [b'0', b'1']
    try:
        await sub.next_msg(0.5)
        raise AssertionError('more than two')
    except (NatsTimeout, nats.errors.BadSubscriptionError, nats.errors.ConnectionClosedError):
        emit('unsubscribe_after')
    await nc.close()


async def groups(url):
    count, workers = 300, []
    for number in range(3):
        nc = await options(url)
        sub = await nc.subscribe('jobs', queue='workers')
        await flushed(nc)
        workers.append((nc, sub))
    nc = await options(url)
    for number in range(count):
        await nc.publish('jobs', str(number).encode())
    await flushed(nc)
    got = []
    for worker, sub in workers:
        await flushed(worker)
        mine = [msg.data async for msg in drained(sub)]
        assert mine, 'one of them got nothing'
        got += mine
        await worker.close()
    assert sorted(got) == sorted(str(n).encode() for n in range(count)), len(got)
    emit('groups')
    await nc.close()


async def drained(sub):
    while sub.pending_msgs:
        yield await sub.next_msg(20)


async def requests(url):
    asker, responder = await options(url), await options(url)
    try:
        await asker.request('help', b'?', timeout=20)
        raise AssertionError('somebody answered')
    except NoRespondersError:
        emit('no_responders')

    async def answer(msg):
        await msg.respond(msg.data + b'!')

    await responder.subscribe('help', cb=answer)
    await flushed(responder)
    replies = await asyncio.gather(*(asker.request('help', b'%d' % n, timeout=20) for n in range(50)))
    assert [r.data for r in replies] == [b'%d!' % n for n in range(50)]
    old = await asker.request('help', b'old', timeout=20, old_style=True)
    assert old.data == b'old!'
    emit('requests')
    try:
        js = asker.jetstream(timeout=20)
        await js.account_info()
        raise AssertionError('there is a JetStream')
    except (nats.js.errors.ServiceUnavailableError, NoRespondersError):
        emit('no_jetstream')
    await responder.drain()
    await asker.drain()
    emit('drain')


async def limits(url):
    nc = await options(url, no_echo=True)
    sub = await nc.subscribe('own')
    await nc.publish('own', b'x')
    await flushed(nc)
    assert sub.pending_msgs == 0
    largest = nc.max_payload
    other = await options(url)
    await other.publish('own', b'x' * largest)
    assert len((await sub.next_msg(20)).data) == largest
    emit('limits')
    await nc.close()
    await other.close()


async def main():
    role, url = sys.argv[1:3]
    if role == 'core':
        for part in (messages, groups, requests, limits):
            await part(url)
    elif role == 'protected':
        context = ssl.create_default_context(cafile=sys.argv[3])
        nc = await options(url, tls=context, user='alice', password='secret', tls_hostname='localhost')
        await nc.publish('other', b'x')
        await flushed(nc)
        emit('in')
        await nc.close()
        try:
            await options(url, tls=context, user='alice', password='wrong', tls_hostname='localhost')
            emit('let_in')
        except Exception as error:  # nats-py has several for this
            emit('refused', authorization='authorization' in str(error).lower())
    elif role == 'reconnect':
        back = asyncio.Event()

        async def reconnected():
            back.set()

        nc = await nats.connect(url, reconnected_cb=reconnected, max_reconnect_attempts=-1,
                                reconnect_time_wait=0.1)
        sub = await nc.subscribe('again')
        await flushed(nc)
        emit('connected')
        sys.stdin.readline()
        await asyncio.wait_for(back.wait(), 60)
        await nc.publish('again', b'x')
        assert (await sub.next_msg(20)).data == b'x'
        emit('reconnected')
        await nc.close()


asyncio.run(main())
