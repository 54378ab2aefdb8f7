"""What a user of stomp.py does with RabbitMQ's plugin, against a broker: one event for each thing that works."""

import queue
import ssl
import sys
import uuid

import stomp
from stomp.exception import ConnectFailedException

from events import emit, told

WAIT = 60
CLASSES = {'1.0': stomp.Connection10, '1.1': stomp.Connection11, '1.2': stomp.Connection12}


class Client(stomp.ConnectionListener):
    """A connection, and what came over it."""

    def __init__(self, port, version='1.2', user=None, password=None, authority=None, **more):
        self.version = version
        if version != '1.0':
            # As with RabbitMQ: it would say the name of the machine.
            more['vhost'] = '/'
        self.messages, self.receipts, self.errors = queue.Queue(), queue.Queue(), queue.Queue()
        self.gone = queue.Queue()
        self.connection = CLASSES[version]([('127.0.0.1', port)], reconnect_attempts_max=1, **more)
        if authority:
            self.connection.set_ssl([('127.0.0.1', port)], ca_certs=authority, ssl_version=ssl.PROTOCOL_TLS_CLIENT)
        self.connection.set_listener('', self)
        self.connection.connect(user, password, wait=True)

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers['receipt-id'])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_disconnected(self):
        self.gone.put(True)

    def sure(self, call, *args, **more):
        """Has the broker say that it is done."""
        receipt = str(uuid.uuid4())
        call(*args, receipt=receipt, **more)
        heard = self.receipts.get(timeout=WAIT)
        assert heard == receipt, (heard, receipt)

    def send(self, destination, body, **more):
        self.sure(self.connection.send, destination, body, **more)

    def subscribe(self, destination, id='0', **more):
        self.sure(self.connection.subscribe, destination, id, **more)

    def next(self):
        return self.messages.get(timeout=WAIT)

    def bodies(self, count):
        return [self.next().body for _ in range(count)]

    def settle(self, call, message, **more):
        """Acknowledges, or does not, in the version's own way."""
        if self.version == '1.2':
            call(message.headers['ack'], **more)
        elif self.version == '1.1':
            call(message.headers['message-id'], message.headers['subscription'], **more)
        else:
            call(message.headers['message-id'], **more)

    def close(self):
        self.connection.disconnect()
        self.gone.get(timeout=WAIT)


def queues(port):
    for version in CLASSES:
        name = '/queue/work-' + version
        one = Client(port, version)
        body = 'größer: ' + 100000 * 'x'
        one.send(name, body, content_type='text/plain', mine='a b', persistent='true')
        one.subscribe(name)
        message = one.next()
        assert message.body == body, len(message.body)
        headers = message.headers
        assert (headers['mine'], headers['content-type'], headers['destination']) == ('a b', 'text/plain', name), headers
        one.close()
    one = Client(port)
    # What 1.2 escapes.
    one.send('/queue/signs', 'x', mine='a:b\\c\nd\re')
    one.subscribe('/queue/signs')
    assert one.next().headers['mine'] == 'a:b\\c\nd\re'
    one.close()


def acknowledging(port):
    for version in CLASSES:
        for mode, left in (('auto', []), ('client', ['2', '3', '4']), ('client-individual', ['0', '2', '3', '4'])):
            name = '/queue/%s-%s' % (mode, version)
            one = Client(port, version)
            for number in range(5):
                one.send(name, str(number))
            one.subscribe(name, ack=mode)
            got = [one.next() for _ in range(5)]
            assert [message.body for message in got] == list('01234')
            if mode != 'auto':
                one.settle(one.connection.ack, got[1], receipt='acknowledged')
                assert one.receipts.get(timeout=WAIT) == 'acknowledged'
            one.close()
            two = Client(port, version)
            two.subscribe(name)
            two.send(name, 'last')
            seen = two.bodies(len(left) + 1)
            assert seen == left + ['last'], (mode, version, seen)
            two.close()


def refusing(port):
    for version in ('1.1', '1.2'):
        one = Client(port, version)
        dead, name = '/queue/dead-' + version, '/queue/refused-' + version
        one.subscribe(dead, 'dead')
        arguments = {'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead-' + version}
        one.subscribe(name, 'work', ack='client-individual', headers={'prefetch-count': '1', **arguments})
        one.send(name, 'x')
        first = one.next()
        one.settle(one.connection.nack, first)
        again = one.next()
        assert again.headers['redelivered'] == 'true', again.headers
        one.settle(one.connection.nack, again, requeue='false')
        last = one.next()
        assert last.headers['subscription'] == 'dead', last.headers
        assert last.headers['x-first-death-reason'] == 'rejected', last.headers
        one.close()


def transactions(port):
    one, two = Client(port), Client(port)
    one.send('/queue/jobs', 'job')
    one.subscribe('/queue/jobs', ack='client-individual')
    job = one.next()
    two.subscribe('/queue/results')
    for what, end in (('no', one.connection.abort), ('yes', one.connection.commit)):
        transaction = one.connection.begin()
        one.connection.send('/queue/results', what, transaction=transaction, receipt=what)
        one.settle(one.connection.ack, job, transaction=transaction)
        end(transaction, receipt='end')
        # What is sent in a transaction is stored when that is committed, if ever.
        for due in ['yes', 'end'] if what == 'yes' else ['end']:
            heard = one.receipts.get(timeout=WAIT)
            assert heard == due, (heard, due)
    assert two.next().body == 'yes'
    one.close()
    two.subscribe('/queue/jobs', 'jobs')
    two.send('/queue/jobs', 'another')
    assert two.next().body == 'another'
    two.close()


def topics(port):
    one, two = Client(port), Client(port, '1.1')
    one.subscribe('/topic/news.*')
    two.subscribe('/topic/#')
    one.send('/topic/news.sport', 'goal')
    one.send('/topic/weather', 'rain')
    assert one.next().body == 'goal'
    assert two.bodies(2) == ['goal', 'rain']
    two.close()
    durable = {'durable': 'true', 'auto-delete': 'false'}
    one.subscribe('/topic/kept.#', 'kept', headers=durable)
    one.close()
    other = Client(port)
    other.send('/topic/kept.a', 'while away')
    one = Client(port)
    one.subscribe('/topic/kept.#', 'kept', headers=durable)
    assert one.next().body == 'while away'
    one.sure(one.connection.unsubscribe, 'kept', destination='/topic/kept.#', durable='true')
    one.close()
    other.close()


def answers(port):
    asks, answering = Client(port), Client(port)
    answering.subscribe('/queue/questions')
    asks.connection.send('/queue/questions', 'why?', headers={'reply-to': '/temp-queue/mine', 'correlation-id': '7'})
    question = answering.next()
    to, correlation = question.headers['reply-to'], question.headers['correlation-id']
    answering.connection.send(to, 'because', headers={'correlation-id': correlation})
    answer = asks.next()
    assert (answer.body, answer.headers['correlation-id']) == ('because', '7'), answer
    assert answer.headers['subscription'] == '/temp-queue/mine', answer.headers
    asks.close()
    answering.close()


def streams(port):
    one = Client(port)
    stream = {'x-queue-type': 'stream', 'x-max-age': '7D'}
    for number in range(5):
        one.send('/queue/stream', str(number), headers=stream)

    def read(client, start, count):
        headers = {**stream, 'prefetch-count': '2', 'x-stream-offset': start}
        client.subscribe('/queue/stream', start, ack='client', headers=headers)
        seen = []
        for _ in range(count):
            message = client.next()
            seen.append((message.body, message.headers['x-stream-offset']))
            client.settle(client.connection.ack, message)
        client.sure(client.connection.unsubscribe, start)
        return seen

    for _ in range(2):
        # Reading takes nothing away.
        assert read(one, 'first', 5) == [(str(number), str(number)) for number in range(5)]
    assert read(one, 'offset=3', 2) == [('3', '3'), ('4', '4')]
    assert read(one, 'timestamp=0', 5)[0] == ('0', '0')
    assert read(one, 'last', 1) == [('4', '4')]
    one.close()


PROPERTIES = {
    'content-type': 'text/plain', 'content-encoding': 'utf-8', 'correlation-id': '7', 'priority': '4', 'expiration': '600000',
    'timestamp': '1700000000', 'amqp-message-id': 'm-1', 'type': 'order', 'app-id': 'shop', 'user-id': 'alice', 'persistent': 'true',
}


def says(port):
    """Says all that a client of AMQP has a word for."""
    one = Client(port, user='alice', password='secret')
    one.send('/queue/said', 'x', headers={**PROPERTIES, 'mine': '1'})
    one.close()
    emit('said')


def hears(port):
    """The same, said by AMQP."""
    one = Client(port, user='alice', password='secret')
    one.subscribe('/queue/answered')
    headers = one.next().headers
    left = int(headers['expiration'])
    assert 0 < left <= 600000, left
    wanted = {**PROPERTIES, 'mine': '1', 'expiration': headers['expiration']}
    del wanted['persistent']
    assert wanted.items() <= headers.items(), headers
    one.close()
    emit('heard')


def errors(port):
    one = Client(port)
    one.connection.subscribe('/amq/queue/nowhere', '0')
    error = one.errors.get(timeout=WAIT)
    assert error.headers['message'] == 'not_found', error.headers
    assert error.body == "no queue 'nowhere' in vhost '/'", error.body
    one.gone.get(timeout=WAIT)


def beats(port):
    one = Client(port, heartbeats=(500, 500))
    # The client itself cuts off a broker that says nothing for longer.
    for _ in range(5):
        try:
            one.gone.get(timeout=0.5)
        except queue.Empty:
            continue
        raise AssertionError('the connection ended')
    one.send('/queue/beats', 'alive')
    one.close()


def login(port, authority=None):
    one = Client(port, user='alice', password='secret', authority=authority)
    one.close()
    emit('in')
    try:
        Client(port, user='alice', password='guess', authority=authority)
    except ConnectFailedException:
        emit('refused')


def kept(port):
    """Sends until it is told to go on, and finds all that was sure after the broker was killed."""
    stop, one = told(), Client(port)
    for number in range(200):
        one.send('/queue/kept', str(number))
    emit('published')
    stop.wait(WAIT)
    two = Client(port)
    two.subscribe('/queue/kept', ack='client')
    assert two.bodies(200) == [str(number) for number in range(200)]
    emit('found')


def crossing(port):
    """What clients of other protocols send arrives here, and what is sent here arrives there."""
    one = Client(port)
    one.subscribe('/topic/sensors.#')
    emit('subscribed')
    message = one.next()
    headers = message.headers
    assert (message.body, headers['destination']) == ('21', '/topic/sensors.a.temp'), (message.body, headers)
    assert (headers['content-type'], headers['unit']) == ('text/plain', 'C'), headers
    one.send('/queue/orders', 'one', content_type='text/plain', n='1')
    emit('published')
    sys.stdin.readline()
    one.subscribe('/queue/orders', 'orders')
    first, second = one.next(), one.next()
    assert (first.body, second.body, second.headers['from']) == ('one', 'two', 'kafka'), second
    emit('crossed')


if sys.argv[1] == 'login':
    login(int(sys.argv[2]), *sys.argv[3:])
elif sys.argv[1] == 'crossing':
    crossing(int(sys.argv[2]))
elif sys.argv[1] in ('says', 'hears'):
    globals()[sys.argv[1]](int(sys.argv[2]))
elif sys.argv[1] == 'kept':
    kept(int(sys.argv[2]))
else:
    for part in (queues, acknowledging, refusing, transactions, topics, answers, streams, errors, beats):
        part(int(sys.argv[2]))
        emit(part.__name__)
