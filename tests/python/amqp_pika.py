"""What a user of pika does with RabbitMQ, against a broker: one event for each thing that works."""

import ssl
import sys
import threading
import uuid

import pika
from pika.exceptions import (
    ChannelClosedByBroker, NackError, ProbableAccessDeniedError, ProbableAuthenticationError,
    UnroutableError)

from events import emit

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def connect(port, **more):
    host = more.pop('virtual_host', '/')
    parameters = pika.ConnectionParameters(
        '127.0.0.1', port, host, heartbeat=60, blocked_connection_timeout=30, **more)
    return pika.BlockingConnection(parameters)


def refused(code, call):
    """The text of the channel's end, whose code must be this."""
    try:
        call()
    except ChannelClosedByBroker as closed:
        assert closed.reply_code == code, closed
        return closed.reply_text
    raise AssertionError('it was not refused')


def refused_message(channel, queue, properties):
    """The same for a message; the answer to what comes after it tells."""
    channel.basic_publish('', queue, b'', properties)
    return refused(406, lambda: channel.queue_declare(queue, passive=True))


def get_all(channel, queue, **more):
    """All that there is, without settling it."""
    got = []
    while True:
        method, properties, body = channel.basic_get(queue, **more)
        if method is None:
            return got
        got.append((method, properties, body))


def drain(channel, queue, count, **more):
    """So many messages, as a consumer gets them; the channel's consumer is cancelled then."""
    got = []
    if count == 0:
        return got
    for method, properties, body in channel.consume(queue, inactivity_timeout=20, **more):
        assert method is not None, 'got %d of %d' % (len(got), count)
        got.append((method, properties, body))
        if len(got) == count:
            break
    return got


def queues(port):
    connection = connect(port)
    channel = connection.channel()
    told = channel.queue_declare('work', durable=True)
    assert (told.method.queue, told.method.message_count, told.method.consumer_count) == ('work', 0, 0)
    named = channel.queue_declare('', exclusive=True).method.queue
    assert named.startswith('amq.gen-'), named
    # The last one that was declared is meant where none is named.
    channel.basic_publish('', named, b'to the last')
    assert channel.queue_declare('', passive=True).method.queue == named
    assert channel.queue_purge('').method.message_count == 1
    text = refused(404, lambda: channel.queue_declare('nowhere', passive=True))
    assert text == "NOT_FOUND - no queue 'nowhere' in vhost '/'", text
    channel = connection.channel()
    text = refused(406, lambda: channel.queue_declare('work', durable=False))
    assert text == ("PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'work' in vhost '/': "
                    "received 'false' but current is 'true'"), text
    channel = connection.channel()
    text = refused(403, lambda: channel.queue_declare('amq.mine'))
    assert 'reserved prefix' in text, text
    other = connect(port)
    text = refused(405, lambda: other.channel().queue_declare(named, exclusive=True))
    assert text.startswith("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue"), text
    connection.close()
    # With the connection, its exclusive queues are gone.
    refused(404, lambda: other.channel().queue_declare(named, passive=True))
    assert other.channel().queue_delete('nowhere').method.message_count == 0
    # Names have no line ends where something is declared, bound or deleted, and only there.
    channel = other.channel()
    # (Of a queue's declaration pika waits for an answer with the name as it said it, so that is not among them.)
    channel.queue_declare('lines', durable=True)
    channel.exchange_declare('x.\nlines', 'direct')
    channel.exchange_declare('x.lines', passive=True)
    channel.queue_bind('\nlines', 'x.lines\r', 'k')
    channel.basic_publish('x.lines', 'k', b'')
    assert channel.queue_purge('lines').method.message_count == 1
    channel.queue_unbind('lines\n', '\nx.lines', 'k')
    channel.basic_publish('x.lines', 'k', b'')
    assert channel.queue_declare('lines', passive=True).method.message_count == 0
    text = refused(404, lambda: channel.basic_get('lines\n'))
    assert text == "NOT_FOUND - no queue 'lines?' in vhost '/'", text
    channel = other.channel()
    channel.exchange_delete('x.lines\n')
    refused(404, lambda: channel.exchange_declare('x.lines', passive=True))
    channel = other.channel()
    channel.queue_delete('lin\nes')
    refused(404, lambda: channel.queue_declare('lines', passive=True))
    other.close()
    emit('queues')


def messages(port):
    connection = connect(port)
    channel = connection.channel()
    channel.queue_declare('work', durable=True)
    headers = {'n': 1, 'text': 'ü', 'big': 2 ** 40, 'list': [1, 'two'], 'table': {'a': True}, 'none': None}
    properties = pika.BasicProperties(
        content_type='text/plain', content_encoding='utf-8', headers=headers, delivery_mode=2,
        priority=3, correlation_id='c', reply_to='r', message_id='m', timestamp=1700000000,
        type='t', app_id='a')
    channel.basic_publish('', 'work', b'hello', properties)
    channel.basic_publish('', 'work', b'')
    large = bytes(range(256)) * 2000
    channel.basic_publish('', 'work', large, PERSISTENT)
    (first, said, body), (second, bare, empty), (third, _, much) = got = drain(channel, 'work', 3)
    assert (body, empty, much) == (b'hello', b'', large)
    assert (first.exchange, first.routing_key, first.redelivered) == ('', 'work', False)
    assert said.headers == headers, said.headers
    for name in ('content_type', 'content_encoding', 'delivery_mode', 'priority', 'correlation_id',
                 'reply_to', 'message_id', 'timestamp', 'type', 'app_id', 'expiration', 'user_id'):
        assert getattr(said, name) == getattr(properties, name), name
    assert bare.headers is None and bare.delivery_mode is None, bare
    channel.basic_ack(first.delivery_tag)
    channel.basic_nack(third.delivery_tag, requeue=True)
    channel.basic_reject(second.delivery_tag, requeue=False)
    channel.cancel()
    (again, _, body), = get_all(channel, 'work')
    assert again.redelivered and body == large and again.message_count == 0
    channel.basic_ack(again.delivery_tag)
    text = refused(406, lambda: (channel.basic_ack(99), channel.queue_declare('work', passive=True)))
    assert text == 'PRECONDITION_FAILED - unknown delivery tag 99', text
    connection.close()
    emit('messages')


def order(port):
    connection = connect(port)
    channel = connection.channel()
    channel.queue_declare('order', durable=True)
    for number in range(200):
        channel.basic_publish('', 'order', str(number).encode(), PERSISTENT)
    channel.basic_qos(prefetch_count=10)
    got = [int(body) for _, _, body in drain(channel, 'order', 10)]
    assert got == list(range(10)), got
    # Unsettled, all go back to their places.
    channel.close()
    channel = connection.channel()
    got = drain(channel, 'order', 200)
    assert [int(body) for _, _, body in got] == list(range(200))
    assert [method.redelivered for method, _, _ in got] == [True] * 10 + [False] * 190
    # What goes back is not to come to this consumer again.
    channel.cancel()
    channel.basic_ack(got[99][0].delivery_tag, multiple=True)
    channel.basic_nack(got[149][0].delivery_tag, multiple=True, requeue=True)
    channel.basic_ack(0, multiple=True)
    left = get_all(channel, 'order')
    assert [int(body) for _, _, body in left] == list(range(100, 150))
    channel.basic_recover(requeue=True)
    assert len(get_all(channel, 'order', auto_ack=True)) == 50
    connection.close()
    emit('order')


def confirms(port):
    connection = connect(port)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare('sure', durable=True)
    channel.basic_publish('', 'sure', b'stored', PERSISTENT, mandatory=True)
    try:
        channel.basic_publish('', 'nowhere', b'lost', PERSISTENT, mandatory=True)
        raise AssertionError('it was not returned')
    except UnroutableError as error:
        returned, = error.messages
        assert (returned.method.reply_code, returned.method.reply_text) == (312, 'NO_ROUTE')
        assert (returned.body, returned.method.routing_key) == (b'lost', 'nowhere')
    # Nobody asked for it back.
    channel.basic_publish('', 'nowhere', b'lost', PERSISTENT)
    channel.queue_declare('full', durable=True, arguments={'x-max-length': 1, 'x-overflow': 'reject-publish'})
    channel.basic_publish('', 'full', b'fits', PERSISTENT)
    try:
        channel.basic_publish('', 'full', b'does not', PERSISTENT)
        raise AssertionError('it was not refused')
    except NackError:
        pass
    assert [body for _, _, body in get_all(channel, 'full')] == [b'fits']
    connection.close()
    emit('confirms')


def transactions(port):
    connection = connect(port)
    channel, other = connection.channel(), connection.channel()
    channel.queue_declare('tx', durable=True)
    channel.tx_select()
    channel.basic_publish('', 'tx', b'one', PERSISTENT)
    assert get_all(other, 'tx') == []
    channel.tx_rollback()
    channel.basic_publish('', 'tx', b'two', PERSISTENT)
    channel.tx_commit()
    (method, _, body), = get_all(channel, 'tx')
    assert body == b'two'
    channel.basic_ack(method.delivery_tag)
    channel.tx_rollback()
    # It was not acknowledged, so it can be.
    channel.basic_ack(method.delivery_tag)
    channel.tx_commit()
    channel.close()
    assert get_all(other, 'tx') == []
    text = refused(406, lambda: other.tx_commit())
    assert text == 'PRECONDITION_FAILED - channel is not transactional', text
    connection.close()
    emit('transactions')


def exchanges(port):
    connection = connect(port)
    channel = connection.channel()
    for kind, keys, arguments, sent, wanted in [
            ('direct', ['a', 'b'], None, [('a', 1), ('b', 1), ('c', 0)], None),
            ('fanout', ['x'], None, [('a', 1), ('', 1)], None),
            ('topic', ['*.b.#'], None, [('a.b', 1), ('a.b.c.d', 1), ('b', 0), ('a.c', 0), ('.b', 1)], None)]:
        channel.exchange_declare('x.' + kind, kind, durable=True)
        queue = channel.queue_declare('', exclusive=True).method.queue
        for key in keys:
            channel.queue_bind(queue, 'x.' + kind, key)
        for key, count in sent:
            channel.basic_publish('x.' + kind, key, key.encode())
            got = get_all(channel, queue, auto_ack=True)
            assert len(got) == count, (kind, key, len(got))
            for method, _, _ in got:
                assert (method.exchange, method.routing_key) == ('x.' + kind, key)
        channel.queue_unbind(queue, 'x.' + kind, keys[0])
    channel.exchange_declare('x.headers', 'headers')
    for name, match, asked in [('all', 'all', {'a': 1, 'b': 'x'}), ('any', 'any', {'a': 1, 'b': 'x'})]:
        channel.queue_declare(name, exclusive=True)
        channel.queue_bind(name, 'x.headers', '', {'x-match': match, **asked})
    for headers, wanted in [({'a': 1, 'b': 'x'}, (1, 1)), ({'a': 1}, (0, 1)), ({'a': '1'}, (0, 0)), (None, (0, 0))]:
        channel.basic_publish('x.headers', '', b'', pika.BasicProperties(headers=headers))
        got = tuple(len(get_all(channel, name, auto_ack=True)) for name in ('all', 'any'))
        assert got == wanted, (headers, got)
    # From exchange to exchange, and where else there is none.
    channel.exchange_declare('rest', 'fanout')
    channel.exchange_declare('entry', 'direct', arguments={'alternate-exchange': 'rest'})
    channel.exchange_bind('x.fanout', 'entry', 'in')
    channel.queue_declare('bound', exclusive=True)
    channel.queue_declare('others', exclusive=True)
    channel.queue_bind('bound', 'x.fanout')
    channel.queue_bind('others', 'rest')
    channel.basic_publish('entry', 'in', b'')
    channel.basic_publish('entry', 'elsewhere', b'')
    assert [len(get_all(channel, name, auto_ack=True)) for name in ('bound', 'others')] == [1, 1]
    channel.exchange_unbind('x.fanout', 'entry', 'in')
    # What is not there is not bound.
    channel.queue_unbind('nowhere', 'x.fanout', 'k')
    channel.queue_unbind('nowhere', 'none', 'k')
    channel.exchange_unbind('none', 'x.fanout', 'k')
    channel.exchange_unbind('x.fanout', 'none', 'k')
    channel.exchange_delete('entry')
    text = refused(404, lambda: (channel.basic_publish('entry', 'in', b''), channel.queue_declare('bound', passive=True)))
    assert text == "NOT_FOUND - no exchange 'entry' in vhost '/'", text
    text = refused(406, lambda: connection.channel().exchange_declare('x.direct', 'topic', durable=True))
    assert text == ("PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x.direct' in vhost '/': "
                    "received 'topic' but current is 'direct'"), text
    text = refused(403, lambda: connection.channel().queue_bind('bound', '', 'k'))
    assert 'default exchange' in text, text
    channel = connection.channel()
    channel.basic_publish('amq.direct', 'k', b'', pika.BasicProperties(headers={'CC': ['bound'], 'BCC': ['others']}))
    channel.basic_publish('', 'bound', b'', pika.BasicProperties(headers={'CC': ['others'], 'BCC': ['bound']}))
    (_, said, _), = get_all(channel, 'others', auto_ack=True)
    assert said.headers == {'CC': ['others']}, said.headers
    assert len(get_all(channel, 'bound', auto_ack=True)) == 1, 'once in each queue'
    # Every exchange on the way considers all keys: one leads on, another from there; and what any finds is found.
    channel.exchange_declare('way', 'direct', arguments={'alternate-exchange': 'rest'})
    channel.exchange_declare('way.on', 'topic')
    channel.exchange_bind('way.on', 'way', 'on')
    channel.queue_bind('bound', 'way.on', 'end.*')
    channel.basic_publish('way', '', b'', pika.BasicProperties(headers={'CC': ['on'], 'BCC': ['end.1']}))
    (method, said, _), = get_all(channel, 'bound', auto_ack=True)
    assert (method.exchange, method.routing_key, said.headers) == ('way', '', {'CC': ['on']}), (method, said)
    assert get_all(channel, 'others', auto_ack=True) == []
    channel.basic_publish('way', 'a', b'', pika.BasicProperties(headers={'CC': ['end.1']}))
    assert [len(get_all(channel, name, auto_ack=True)) for name in ('bound', 'others')] == [0, 1]
    connection.close()
    emit('exchanges')


def dead_letters(port):
    connection = connect(port)
    channel = connection.channel()
    channel.queue_declare('dead', durable=True)
    arguments = {'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead'}
    channel.queue_declare('source', durable=True, arguments=arguments)
    channel.basic_publish('', 'source', b'rejected', pika.BasicProperties(delivery_mode=2, headers={'own': 1}))
    (method, _, _), = get_all(channel, 'source')
    channel.basic_reject(method.delivery_tag, requeue=False)
    (method, said, body), = drain(channel, 'dead', 1)
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    death, = said.headers['x-death']
    assert (body, said.headers['own'], death['count'], death['reason']) == (b'rejected', 1, 1, 'rejected')
    assert (death['queue'], death['exchange'], death['routing-keys']) == ('source', '', ['source'])
    assert said.headers['x-first-death-queue'] == 'source', said.headers
    # Of age: of the message, and of the queue.
    channel.basic_publish('', 'source', b'old', pika.BasicProperties(delivery_mode=2, expiration='10'))
    channel.queue_declare('brief', durable=True, arguments={**arguments, 'x-message-ttl': 10})
    channel.basic_publish('', 'brief', b'brief', PERSISTENT)
    got = drain(channel, 'dead', 2)
    assert sorted(body for _, _, body in got) == [b'brief', b'old']
    for method, said, body in got:
        assert said.headers['x-death'][0]['reason'] == 'expired' and said.expiration is None, said
        assert said.headers['x-death'][0].get('original-expiration') == ('10' if body == b'old' else None)
    channel.basic_ack(got[-1][0].delivery_tag, multiple=True)
    channel.cancel()
    # Too many: the oldest goes.
    channel.queue_declare('short', durable=True, arguments={**arguments, 'x-max-length': 2})
    for number in range(3):
        channel.basic_publish('', 'short', str(number).encode(), PERSISTENT)
    (method, said, body), = drain(channel, 'dead', 1)
    assert (body, said.headers['x-death'][0]['reason']) == (b'0', 'maxlen')
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    # Too often: a quorum queue counts.
    channel.queue_declare('counted', durable=True, arguments={
        **arguments, 'x-queue-type': 'quorum', 'x-delivery-limit': 2})
    channel.basic_publish('', 'counted', b'again', PERSISTENT)
    for delivery in range(3):
        (method, said, _), = get_all(channel, 'counted')
        channel.basic_nack(method.delivery_tag, requeue=True)
        assert (said.headers or {}).get('x-delivery-count', 0) == delivery, said
    (method, said, _), = drain(channel, 'dead', 1)
    assert said.headers['x-death'][0]['reason'] == 'delivery_limit', said
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    # An exchange that goes by headers reads those of a dead letter, too: of a queue in memory, and of a stored one.
    channel.exchange_declare('dead.headers', 'headers')
    for kept, name in ((False, 'old.memory'), (True, 'old.stored')):
        channel.queue_bind('dead', 'dead.headers', '', {'x-match': 'all', 'from': name, 'n': 7})
        channel.queue_declare(name, durable=kept, arguments={'x-dead-letter-exchange': 'dead.headers'})
        for n in (7, 8):
            said = pika.BasicProperties(delivery_mode=2, expiration='10', headers={'from': name, 'n': n})
            channel.basic_publish('', name, str(n).encode(), said)
        (method, said, body), = drain(channel, 'dead', 1)
        assert (body, said.headers['x-death'][0]['queue']) == (b'7', name), (body, said)
        channel.basic_ack(method.delivery_tag)
        channel.cancel()
    # It has all keys of its publisher, which stand in its history, but for those of BCC.
    channel.exchange_declare('dead.copies', 'direct')
    channel.queue_bind('dead', 'dead.copies', 'copy')
    channel.queue_declare('copied', durable=True, arguments={'x-dead-letter-exchange': 'dead.copies'})
    channel.basic_publish('', 'copied', b'copied', pika.BasicProperties(
        delivery_mode=2, expiration='10', headers={'CC': ['copy', 'more'], 'BCC': ['hidden']}))
    (method, said, _), = drain(channel, 'dead', 1)
    assert (method.exchange, method.routing_key) == ('dead.copies', 'copied'), method
    assert said.headers['x-death'][0]['routing-keys'] == ['copied', 'copy', 'more'], said.headers
    assert said.headers['CC'] == ['copy', 'more'] and 'BCC' not in said.headers, said.headers
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    # What may not wait at all is for who is there for it.
    channel.queue_declare('now', exclusive=True, arguments={**arguments, 'x-message-ttl': 0})
    channel.basic_publish('', 'now', b'nobody is there')
    assert get_all(channel, 'now') == []
    came = []
    channel.basic_consume('now', lambda _channel, method, _said, body: came.append((method, body)))
    channel.basic_publish('', 'now', b'somebody is')
    while not came:
        connection.process_data_events(1)
    assert came[0][1] == b'somebody is', came
    channel.basic_reject(came[0][0].delivery_tag, requeue=True)
    dead = connection.channel()
    got = drain(dead, 'dead', 2)
    assert [(body, said.headers['x-death'][0]['reason']) for _, said, body in got] == [
        (b'nobody is there', 'expired'), (b'somebody is', 'expired')], got
    assert len(came) == 1, came
    connection.close()
    emit('dead_letters')


def consumers(port):
    connection = connect(port)
    channel = connection.channel()
    channel.queue_declare('shared', durable=True, arguments={'x-max-priority': 5})
    for priority in (1, 5, 3):
        channel.basic_publish('', 'shared', str(priority).encode(),
                              pika.BasicProperties(delivery_mode=2, priority=priority))
    assert [body for _, _, body in get_all(channel, 'shared', auto_ack=True)] == [b'5', b'3', b'1']
    # An exclusive one keeps others out.
    tag = channel.basic_consume('shared', lambda *_: None, exclusive=True)
    text = refused(403, lambda: connection.channel().basic_consume('shared', lambda *_: None))
    assert text == "ACCESS_REFUSED - queue 'shared' in vhost '/' in exclusive use", text
    channel.basic_cancel(tag)
    # Whoever consumes from a queue that is deleted is told.
    channel.queue_declare('fleeting', durable=True)
    cancelled = []
    channel.add_on_cancel_callback(cancelled.append)
    tag = channel.basic_consume('fleeting', lambda *_: None)
    connection.channel().queue_delete('fleeting')
    while not cancelled:
        connection.process_data_events(1)
    assert cancelled[0].method.consumer_tag == tag
    # A queue for as long as somebody consumes.
    channel.queue_declare('auto', auto_delete=True)
    tag = channel.basic_consume('auto', lambda *_: None)
    assert channel.queue_declare('auto', passive=True).method.consumer_count == 1
    channel.basic_cancel(tag)
    refused(404, lambda: channel.queue_declare('auto', passive=True))
    # Consumers share a channel's room, and have it in turn, whatever queues they are on.
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1, global_qos=True)
    names, came = ['turn.1', 'turn.2', 'turn.3'], []
    for name in names:
        channel.queue_declare(name, exclusive=True)
        for _ in range(10):
            channel.basic_publish('', name, name.encode())
        channel.basic_consume(name, lambda _channel, method, _said, body: came.append((method, body)))
    for count in range(12):
        while len(came) <= count:
            connection.process_data_events(1)
        channel.basic_ack(came[count][0].delivery_tag)
    counts = [sum(body == name.encode() for _, body in came[:12]) for name in names]
    assert all(count >= 2 for count in counts), counts
    channel.close()
    # Who need not acknowledge takes no room, but gets nothing while there is none.
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1, global_qos=True)
    held, free = [], []
    for name, automatic, into in (('held', False, held), ('free', True, free)):
        channel.queue_declare(name, exclusive=True)
        channel.basic_consume(
            name, lambda _channel, method, _said, _body, into=into: into.append(method), auto_ack=automatic)
    for _ in range(2):
        channel.basic_publish('', 'free', b'')
    while len(free) < 2:
        connection.process_data_events(1)
    channel.basic_publish('', 'held', b'')
    while not held:
        connection.process_data_events(1)
    channel.basic_publish('', 'free', b'')
    for _ in range(20):
        assert channel.queue_declare('free', passive=True).method.message_count == 1
    connection.process_data_events(0)
    assert len(free) == 2, free
    channel.basic_ack(held[0].delivery_tag)
    while len(free) < 3:
        connection.process_data_events(1)
    connection.close()
    emit('consumers')


def replies(port):
    def serve():
        connection = connect(port)
        channel = connection.channel()
        for method, said, body in channel.consume('questions', inactivity_timeout=20):
            channel.basic_publish('', said.reply_to, body.upper(),
                                  pika.BasicProperties(correlation_id=said.correlation_id))
            channel.basic_ack(method.delivery_tag)
            break
        connection.close()

    connection = connect(port)
    channel = connection.channel()
    channel.queue_declare('questions', durable=True)
    answerer = threading.Thread(target=serve)
    answerer.start()
    answers, name = [], 'amq.rabbitmq.reply-to'
    channel.basic_consume(name, lambda *answer: answers.append(answer), auto_ack=True)
    channel.basic_publish('', 'questions', b'why', pika.BasicProperties(reply_to=name, correlation_id='7'))
    while not answers:
        connection.process_data_events(1)
    _, _, said, body = answers[0]
    assert (said.correlation_id, body) == ('7', b'WHY')
    answerer.join()
    text = refused_message(connection.channel(), 'questions', pika.BasicProperties(reply_to=name))
    assert text == 'PRECONDITION_FAILED - fast reply consumer does not exist', text
    connection.close()
    emit('replies')


def hosts(port):
    try:
        connect(port, virtual_host='nowhere')
        raise AssertionError('it was let in')
    except ProbableAccessDeniedError as closed:
        assert "(530) 'NOT_ALLOWED - vhost nowhere not found'" in str(closed), closed
    one, other = connect(port), connect(port, virtual_host='other')
    name = 'q-' + uuid.uuid4().hex
    for number, connection in enumerate((one, other)):
        channel = connection.channel()
        channel.queue_declare(name, durable=True)
        channel.basic_publish('', name, str(number).encode(), PERSISTENT)
    for number, connection in enumerate((one, other)):
        (_, _, body), = get_all(connection.channel(), name, auto_ack=True)
        assert body == str(number).encode()
        connection.close()
    emit('hosts')


def login(port, authority=None):
    more = {}
    if authority:
        context = ssl.create_default_context(cafile=authority)
        more['ssl_options'] = pika.SSLOptions(context, '127.0.0.1')
    credentials = pika.PlainCredentials('alice', 'secret')
    connection = connect(port, credentials=credentials, **more)
    channel = connection.channel()
    channel.queue_declare('mine', durable=True)
    channel.basic_publish('', 'mine', b'', pika.BasicProperties(user_id='alice'))
    text = refused_message(channel, 'mine', pika.BasicProperties(user_id='bob'))
    assert "user_id property set to 'bob' but authenticated user was 'alice'" in text, text
    connection.close()
    emit('in')
    try:
        connect(port, credentials=pika.PlainCredentials('alice', 'wrong'), **more)
        raise AssertionError('it was let in')
    except ProbableAuthenticationError as error:
        assert 'ACCESS_REFUSED - Login was refused' in str(error), repr(error)
        emit('refused')


def crossing(port):
    """With clients of other doors, who do their part when they are told to."""
    connection = connect(port)
    channel = connection.channel()
    channel.queue_declare('telemetry', durable=True)
    channel.queue_bind('telemetry', 'amq.topic', 'sensors.#')
    emit('bound')
    sys.stdin.readline()
    (method, said, body), = drain(channel, 'telemetry', 1)
    assert (method.exchange, method.routing_key) == ('amq.topic', 'sensors.a.temp'), method
    assert (body, said.content_type, said.headers) == (b'21', 'text/plain', {'unit': 'C'}), said
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    channel.confirm_delivery()
    channel.queue_declare('orders', durable=True)
    channel.basic_publish('', 'orders', b'one', pika.BasicProperties(
        delivery_mode=2, content_type='text/plain', headers={'n': 1}))
    emit('published')
    sys.stdin.readline()
    got = drain(channel, 'orders', 2)
    assert [body for _, _, body in got] == [b'one', b'two'], got
    assert got[1][1].headers == {'from': 'kafka'}, got[1][1]
    connection.close()
    emit('crossed')


def said(port):
    """What a client of STOMP said is in the properties, and the other way round."""
    connection = connect(port, credentials=pika.PlainCredentials('alice', 'secret'))
    channel = connection.channel()
    (_, properties, _), = drain(channel, 'said', 1)
    left = int(properties.expiration)
    assert 0 < left <= 600000, left
    words = {
        'content_type': 'text/plain', 'content_encoding': 'utf-8', 'correlation_id': '7', 'priority': 4, 'timestamp': 1700000000,
        'message_id': 'm-1', 'type': 'order', 'app_id': 'shop', 'user_id': 'alice', 'delivery_mode': 2, 'headers': {'mine': '1'},
    }
    seen = {name: getattr(properties, name) for name in words}
    assert seen == words, seen
    channel.confirm_delivery()
    channel.queue_declare('answered', durable=True)
    channel.basic_publish('', 'answered', b'x', pika.BasicProperties(expiration='600000', **words))
    connection.close()
    emit('crossed')


def kept(port):
    """Before and after the broker is killed: what was confirmed is there, in order."""
    connection = connect(port)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare('kept', durable=True)
    channel.exchange_declare('lasting', 'direct', durable=True)
    channel.queue_bind('kept', 'lasting', 'k')
    for number in range(50):
        channel.basic_publish('lasting', 'k', str(number).encode(), PERSISTENT, mandatory=True)
    got = drain(channel, 'kept', 20)
    channel.basic_ack(got[9][0].delivery_tag, multiple=True)
    # Whatever comes after an acknowledgement on the channel finds that it counts.
    channel.queue_declare('kept', passive=True)
    emit('published')
    sys.stdin.readline()
    connection = connect(port)
    channel = connection.channel()
    channel.queue_declare('kept', durable=True)
    channel.basic_publish('lasting', 'k', b'50', PERSISTENT)
    got = [int(body) for _, _, body in drain(channel, 'kept', 41)]
    # An acknowledgement may be lost with the broker, a message not.
    assert got in (list(range(first, first + 41)) for first in range(11)), got
    emit('found')


if __name__ == '__main__':
    name, port = sys.argv[1], int(sys.argv[2])
    if name == 'all':
        for each in (queues, messages, order, confirms, transactions, exchanges, dead_letters,
                     consumers, replies, hosts):
            each(port)
    else:
        globals()[name](port, *sys.argv[3:])
