"""RabbitMQ's management API as its clients call it: amqpstorm, pyrabbit2, and plain urllib."""

import base64
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from amqpstorm import AMQPError, Connection
from amqpstorm.management import ApiError, ManagementApi
from pyrabbit2.api import Client

from events import emit

port, management, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
url = f'http://127.0.0.1:{management}'
api = ManagementApi(url, user, password)


def connect(**more):
    return Connection('127.0.0.1', user, password, port=port, **more)


def ask(method, path, body=None, login=f'{user}:{password}'):
    """Status code and JSON of a request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f'{url}/api/{path}', data=data, method=method)
    if login:
        request.add_header('Authorization', 'Basic ' + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, told = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, told = error.code, error.read()
    return status, json.loads(told) if told else None


def overview():
    assert api.aliveness_test() == {'status': 'ok'}
    assert api.whoami()['name'] == user and api.whoami()['tags'] == ['administrator']
    shown = api.overview()
    assert shown['management_version'] == shown['rabbitmq_version'], shown
    node = api.nodes()[0]['name']
    assert api.node(node)['name'] == node == shown['node'] == shown['contexts'][0]['node']
    assert api.healthchecks.get()['status'] == api.healthchecks.get(node)['status'] == 'ok'


def queues():
    for name in ('abc', 'abd', 'xyz'):
        assert api.queue.declare(name, durable=True) is None
    shown = api.queue.get('abc')
    assert (shown['name'], shown['durable'], shown['auto_delete']) == ('abc', True, False), shown
    assert [queue['name'] for queue in api.queue.list(page_size=1, name='^ab', use_regex=True)] == ['abc', 'abd']
    assert api.queue.declare('abc', passive=True)['name'] == 'abc'
    try:
        api.queue.declare('none', passive=True)
        raise AssertionError('there is none')
    except ApiError as why:
        assert why.error_code == 404, why
    api.queue.bind(queue='abc', exchange='amq.direct', routing_key='key', arguments=None)
    assert len(api.queue.bindings('abc')) == 2
    api.queue.unbind(queue='abc', exchange='amq.direct', routing_key='key')
    assert len(api.queue.bindings('abc')) == 1
    for name in ('abc', 'abd', 'xyz'):
        api.queue.delete(name)
    assert [queue['name'] for queue in api.queue.list()] == ['aliveness-test']


def messages():
    api.queue.declare('m', durable=True)
    assert api.basic.publish('hello', 'm', properties={'headers': {'n': 1}}) == {'routed': True}
    assert api.basic.publish('lost', 'nowhere') == {'routed': False}
    assert api.basic.get('m', requeue=True)[0].body == 'hello'
    with connect() as connection, connection.channel() as channel:
        channel.confirm_deliveries()
        got = channel.basic.get('m', no_ack=False)
        assert (got.body, got.redelivered, got.properties['headers']) == ('hello', True, {'n': 1})
        assert api.queue.get('m')['messages_unacknowledged'] == 1
        got.reject(requeue=True)
        channel.basic.publish(b'\xff\xfe', 'm')
        shown = api.basic.get('m', requeue=False, count=5, to_dict=True)
    assert [one['payload_encoding'] for one in shown] == ['string', 'base64'], shown
    assert base64.b64decode(shown[1]['payload']) == b'\xff\xfe'
    assert api.queue.purge('m') is None
    api.queue.delete('m')


def exchanges():
    api.exchange.declare('x', 'headers', durable=True)
    api.exchange.bind(source='x', destination='amq.fanout', routing_key='a b', arguments={'x-match': 'any'})
    bound, = api.exchange.bindings('x')
    assert (bound['destination'], bound['destination_type']) == ('amq.fanout', 'exchange'), bound
    key = urllib.parse.quote(bound['properties_key'], '')
    assert ask('DELETE', f'bindings/%2F/e/x/e/amq.fanout/{key}') == (204, None)
    assert api.exchange.bindings('x') == []
    status, told = ask('PUT', 'exchanges/%2F/x', {'type': 'fanout', 'durable': True})
    assert (status, told['error']) == (400, 'bad_request') and 'inequivalent' in told['reason'], told
    api.exchange.delete('x')


def connections():
    connection = connect(client_properties={'platform': 'Atari'})
    channel = connection.channel()
    channel.queue.declare('c')
    channel.basic.qos(7)
    tag = channel.basic.consume(None, 'c')
    shown, = [one for one in api.connection.list() if one['client_properties'].get('platform') == 'Atari']
    assert api.connection.get(shown['name'])['user'] == shown['user']
    consumer, = api.queue.get('c')['consumer_details']
    assert (consumer['consumer_tag'], consumer['prefetch_count']) == (tag, 7), consumer
    assert api.channel.list()[0]['consumer_count'] == 1
    assert len(ask('GET', 'consumers/%2F')[1]) == 1
    assert api.connection.close(shown['name'], reason='because') is None
    try:
        while True:
            channel.queue.declare('c', passive=True)
    except AMQPError as why:
        assert 'because' in str(why), why
    api.queue.delete('c')


def hosts():
    client = Client(f'127.0.0.1:{management}', user, password)
    assert client.is_alive()
    client.create_vhost('v')
    assert [host['name'] for host in client.get_all_vhosts()] == ['/', 'v']
    client.create_queue('v', 'q', durable=True)
    client.create_exchange('v', 'x', 'topic', durable=True)
    client.create_binding('v', 'x', 'q', 'a.#')
    assert client.publish('v', 'x', 'a.b', 'hello')
    with connect(virtual_host='v') as connection, connection.channel() as channel:
        assert channel.basic.get('q', no_ack=True).body == 'hello'
    client.delete_vhost('v')
    assert [host['name'] for host in client.get_all_vhosts()] == ['/']


def policies():
    client = Client(f'127.0.0.1:{management}', user, password)
    api.queue.declare('graves', durable=True)
    for kind in ('classic', 'quorum'):
        name = f'limited.{kind}'
        api.queue.declare(name, durable=True, arguments={'x-queue-type': kind})
        for n in range(4):
            api.basic.publish(str(n), name)
        # What there is already is cut at once, and so is what comes.
        client.create_policy('/', 'limit', pattern='^limited\\.', definition={'max-length': 2}, priority=1)
        wait(lambda: api.queue.get(name)['messages'] == 2)
        shown = api.queue.get(name)
        assert (shown['policy'], shown['effective_policy_definition']) == ('limit', {'max-length': 2}), shown
        api.basic.publish('4', name)
        wait(lambda: [one.body for one in api.basic.get(name, requeue=True, count=9)] == ['3', '4'])
        client.delete_policy('/', 'limit')
        for n in range(5, 8):
            api.basic.publish(str(n), name)
        assert [one.body for one in api.basic.get(name, requeue=False, count=9)] == ['3', '4', '5', '6', '7']
        # Time and dead letters.
        client.create_policy('/', 'dying', pattern='^limited\\.', **{
            'apply-to': 'queues',
            'definition': {
                'message-ttl': 1, 'dead-letter-exchange': '', 'dead-letter-routing-key': 'graves'}})
        api.basic.publish('late', name)
        wait(lambda: api.queue.get('graves')['messages'] == 1)
        letter, = api.basic.get('graves', requeue=False)
        death = letter.properties['headers']['x-death'][0]
        assert (letter.body, death['reason'], death['queue']) == ('late', 'expired', name), death
        client.delete_policy('/', 'dying')
        api.basic.publish('stays', name)
        with connect() as connection, connection.channel() as channel:
            channel.basic.get(name, no_ack=False).reject(requeue=False)
        assert api.queue.get(name)['messages'] == api.queue.get('graves')['messages'] == 0
        assert api.queue.get(name)['policy'] is None
        if kind == 'quorum':
            comes_back_later(client, name)
        api.queue.delete(name)
    status, told = ask('PUT', 'policies/%2F/odd', {'pattern': '', 'definition': {'ha-mode': 'all'}})
    assert (status, told['error']) == (400, 'bad_request'), told
    assert told['reason'] == (
        'Validation failed\n\n[{<<"ha-mode">>,<<"all">>}] are not recognised policy settings\n'), told
    api.queue.delete('graves')


def statistics():
    """message_stats: what happened, and how fast."""
    api.virtual_host.create('counted')
    with connect(virtual_host='counted') as connection, connection.channel() as channel:
        channel.confirm_deliveries()
        channel.exchange.declare('x', 'fanout')
        channel.queue.declare('q', durable=True)
        channel.queue.bind('q', 'x')
        assert 'message_stats' not in api.queue.get('q', 'counted')
        for n in range(10):
            channel.basic.publish(str(n), 'any', 'x')
        assert channel.basic.publish('lost', 'none') is True
        try:
            channel.basic.publish('back', 'none', mandatory=True)
            raise AssertionError('nobody takes it')
        except AMQPError as why:
            assert why.error_code == 312, why
        got = [channel.basic.get('q', no_ack=False) for _ in range(5)]
        channel.basic.get('q', no_ack=True)
        got[0].ack()
        got[4].reject(requeue=True)
        channel.basic.qos(2)
        tag = channel.basic.consume(None, 'q')
        names = ('publish', 'deliver', 'deliver_no_ack', 'get', 'get_no_ack', 'get_empty', 'deliver_get', 'ack', 'redeliver')
        counts = (10, 2, 0, 5, 1, 0, 8, 1, 1)
        stats = lambda shown: shown.get('message_stats', {})
        wait(lambda: tuple(stats(api.queue.get('q', 'counted')).get(name) for name in names) == counts)
        shown = api.exchange.get('x', 'counted')['message_stats']
        assert (shown['publish_in'], shown['publish_out']) == (10, 10), shown
        shown = api.exchange.get('amq.default', 'counted')['message_stats']
        assert (shown['publish_in'], shown['publish_out']) == (2, 0), shown
        wanted = {'publish': 12, 'confirm': 12, 'return_unroutable': 1, 'drop_unroutable': 1, 'deliver_get': 8, 'ack': 1}
        of_host = lambda: stats(ask('GET', 'vhosts/counted')[1])
        of_channel = lambda: [stats(one) for one in ask('GET', 'vhosts/counted/channels')[1]][0]
        for told in (of_host, of_channel):
            wait(lambda: {name: told().get(name) for name in wanted} == wanted)
        shown = ask('GET', 'vhosts/counted')[1]
        assert (shown['messages'], shown['messages_unacknowledged']) == (8, 5), shown
        everywhere = api.overview()
        assert everywhere['message_stats']['confirm'] >= 12 and everywhere['rates_mode'] == 'basic', everywhere
        totals = everywhere['queue_totals']
        assert totals['messages'] == totals['messages_ready'] + totals['messages_unacknowledged'] >= 8, totals
        # Rates come from samples that are taken since somebody asks.
        rates = {}

        def moves():
            channel.basic.publish('more', 'any', 'x')
            for kind, told in (('queue', stats(api.queue.get('q', 'counted'))), ('host', of_host()),
                               ('all', api.overview()['message_stats'])):
                rates[kind] = max(rates.get(kind, 0), told['publish_details']['rate'])
            rates['messages'] = max(rates.get('messages', 0), api.queue.get('q', 'counted')['messages_details']['rate'])
            return all(rate > 0 for rate in rates.values())

        wait(moves)
        assert 'message_stats' not in ask('GET', 'queues/counted/q?disable_stats=true')[1]
        sorted_names = [one['name'] for one in ask('GET', 'queues?sort=message_stats.publish&sort_reverse=true')[1]]
        assert sorted_names[0] == 'q', sorted_names
        channel.basic.cancel(tag)
    # What is gone counts on, until its virtual host goes.
    api.queue.delete('q', 'counted')
    assert of_host()['deliver_get'] == 8, of_host()
    api.virtual_host.delete('counted')


def comes_back_later(client, name):
    """What was rejected, where a policy says so, and not what was given back."""
    client.create_policy('/', 'later', pattern='^limited\\.', definition={
        'delayed-retry-type': 'failed', 'delayed-retry-min': 1000, 'delayed-retry-max': 2000})
    api.basic.publish('again', name)
    with connect() as connection, connection.channel() as channel:
        channel.basic.get(name, no_ack=False).nack(requeue=True)
        since = time.monotonic()
        channel.basic.get(name, no_ack=False).reject(requeue=True)
        wait(lambda: channel.basic.get(name, no_ack=True) is not None)
        # It was the second time.
        assert time.monotonic() - since >= 2, time.monotonic() - since
    client.delete_policy('/', 'later')


def wait(is_so):
    """Until something is so, which nobody tells; 30 s at most."""
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, 'it is not so'
        time.sleep(0.01)  # poll: until it is so, which nobody tells; the assertion above bounds it


def users():
    assert ask('GET', 'users', login=None)[0] == 401
    assert ask('GET', 'users', login=f'{user}:wrong') == (
        401, {'error': 'not_authorized', 'reason': 'Login failed'})
    assert api.user.create('bob', 'secret', tags='monitoring') is None
    assert ask('GET', 'whoami', login='bob:secret')[1] == {'name': 'bob', 'tags': ['monitoring']}
    assert ask('GET', 'permissions/%2F/bob')[0] == 404
    assert ask('PUT', 'queues/%2F/mine', {}, login='bob:secret')[0] == 401
    api.user.set_permission('bob', '/', '^mi.*', '^mine$', '')
    shown = api.user.get_permission('bob', '/')
    assert (shown['configure'], shown['write'], shown['read']) == ('^mi.*$', '^mine$', '^$'), shown
    assert ask('PUT', 'queues/%2F/mine', {}, login='bob:secret')[0] == 201
    assert ask('PUT', 'queues/%2F/other', {}, login='bob:secret')[0] == 401
    assert ask('DELETE', 'queues/%2F/mine/contents', login='bob:secret')[0] == 401
    assert ask('PUT', 'users/eve', {'password': 'x', 'tags': ''}, login='bob:secret')[0] == 401
    assert api.user.get_permissions(user)[0]['read'] == '.*'
    api.user.delete(['bob'])
    assert ask('GET', 'whoami', login='bob:secret')[0] == 401
    api.queue.delete('mine')


for part in (overview, queues, messages, exchanges, connections, hosts, policies, statistics, users):
    part()
    emit(part.__name__)
