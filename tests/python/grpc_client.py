"""What a user of grpcio does with the generated code, against a broker: one event for each thing that works."""

import json
import queue
import sys
import threading
import time

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from kazoo.client import KazooClient

from events import emit
from grpc_generated import pb

PATIENCE = 60


class Say:
    """Requests of a stream, one after the other."""

    def __init__(self, *first):
        self.queue = queue.Queue()
        for request in first:
            self(request)

    def __call__(self, request):
        self.queue.put(request)

    def close(self):
        self.queue.put(None)

    def __iter__(self):
        return iter(self.queue.get, None)


class Subscribed:
    """A subscription that is open."""

    def __init__(self, channel, credit=1000, **source):
        self.say = Say(pb.SubscribeRequest(open=pb.Open(credit=credit, **source)))
        self.call = pb.SubscriberStub(channel).Subscribe(iter(self.say), timeout=PATIENCE)
        self.left = []
        self.assigned = []
        while True:
            told = next(self.call)
            if told.WhichOneof('response') == 'opened':
                break
            self.assigned = list(told.assigned.positions)

    def next(self):
        while not self.left:
            told = next(self.call)
            kind = told.WhichOneof('response')
            if kind != 'deliveries':
                return told
            self.left = list(told.deliveries.deliveries)
        return self.left.pop(0)

    def payloads(self, count):
        return [self.next().message.payload for _ in range(count)]

    def settle(self, ids, action, confirm=0):
        settle = pb.Settle(settlements=[pb.Settlement(ids=ids, action=action)], confirm=confirm)
        self.say(pb.SubscribeRequest(settle=settle))

    def cancel(self):
        self.call.cancel()


def administration(channel):
    topics = pb.TopicsStub(channel)
    made = topics.CreateTopic(
        pb.CreateTopicRequest(name='grpc', partitions=1, config={'entrepot.bind': 'grpc.kept.>'}))
    assert (made.name, len(made.partitions), len(made.id)) == ('grpc', 1, 16), made
    assert 'grpc' in [topic.name for topic in topics.ListTopics(pb.ListTopicsRequest()).topics]
    assert topics.DeclareQueue(pb.DeclareQueueRequest(name='grpc-queue')).created
    emit('administration')


def errors(channel):
    try:
        pb.TopicsStub(channel).GetTopic(pb.GetTopicRequest(name='none'))
        raise AssertionError('there is no such topic')
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
        status = rpc_status.from_call(error)
    info = error_details_pb2.ResourceInfo()
    assert status.details[0].Unpack(info)
    assert (info.resource_type, info.resource_name) == ('topic', 'none'), info
    emit('errors')


def live(channel):
    one = Subscribed(channel, live=pb.Live(filters=['grpc.live.*']))
    message = pb.Message(
        subject='grpc.live.a', payload=b'\0\xff', content_type='text/plain', priority=0,
        headers=[pb.Header(name='h', value=b''), pb.Header(name='h')], correlation_id=b'7')
    told = pb.PublisherStub(channel).Publish(pb.PublishRequest(message=message))
    assert (told.receivers, told.stored) == (1, False), told
    got = one.next().message
    got.ClearField('timestamp_ms')
    assert got == message, got
    assert not got.headers[1].HasField('value') and got.headers[0].HasField('value')
    one.cancel()
    emit('live')


def stream(channel):
    say = Say()
    answers = pb.PublisherStub(channel).PublishStream(iter(say), timeout=PATIENCE)
    for batch in range(100):
        subject = f'grpc.kept.{batch % 7}'
        messages = [pb.Message(subject=subject, payload=b'%d' % (batch * 10 + n)) for n in range(10)]
        say(pb.PublishStreamRequest(messages=messages))
    say(pb.PublishStreamRequest(messages=[pb.Message(topic='none', payload=b'x')]))
    say.close()
    decided, failures = 0, []
    for answer in answers:
        assert answer.decided > decided
        decided = answer.decided
        failures += [(failure.number, failure.code) for failure in answer.failures]
    assert (decided, failures) == (1001, [(1001, grpc.StatusCode.NOT_FOUND.value[0])]), failures
    emit('stream')


def offsets(channel):
    start = pb.Start(earliest=True)
    one = Subscribed(channel, credit=300, offsets=pb.Offsets(topics=['grpc'], start=start))
    assert one.payloads(300) == [b'%d' % n for n in range(300)]
    one.say(pb.SubscribeRequest(credit=700))
    assert one.payloads(700) == [b'%d' % n for n in range(300, 1000)]
    one.cancel()
    named = pb.Offsets(topics=['grpc'], subscription='grpc-offsets', start=start)
    two = Subscribed(channel, offsets=named)
    got = [two.next() for _ in range(10)]
    assert [(one.place.offset, one.message.subject[:10]) for one in got] == [
        (n, 'grpc.kept.') for n in range(10)]
    commit = pb.Commit(positions=[pb.Position(topic='grpc', partition=0, offset=5)], confirm=3)
    two.say(pb.SubscribeRequest(commit=commit))
    while True:
        told = two.next()
        if isinstance(told, pb.SubscribeResponse):
            break
    assert (told.committed.confirm, list(told.committed.failures)) == (3, []), told
    two.cancel()
    stub = pb.SubscriptionsStub(channel)
    there = stub.GetSubscription(pb.GetSubscriptionRequest(name='grpc-offsets'))
    position = there.positions[0]
    assert (position.position.offset, position.behind) == (5, 995), there
    emit('offsets')


def shared(channel):
    positions = [pb.Position(topic='grpc', partition=0, offset=990)]
    pb.SubscriptionsStub(channel).SeekSubscription(
        pb.SeekSubscriptionRequest(name='grpc-shared', shared=True, positions=positions))
    source = pb.Shared(topics=['grpc'], subscription='grpc-shared')
    one = Subscribed(channel, credit=10, shared=source)
    got = [one.next() for _ in range(10)]
    assert [one.message.payload for one in got] == [b'%d' % n for n in range(990, 1000)]
    ids = [one.id for one in got]
    one.settle(ids[:8], pb.ACTION_ACCEPT)
    one.settle(ids[8:9], pb.ACTION_EXTEND, confirm=1)
    told = one.next()
    assert (told.settled.confirm, list(told.settled.failures)) == (1, []), told
    one.say(pb.SubscribeRequest(credit=1))
    one.settle(ids[9:], pb.ACTION_RETURN)
    again = one.next()
    assert (again.message.payload, again.redeliveries) == (b'999', 1), again
    one.settle([again.id, ids[8]], pb.ACTION_ACCEPT, confirm=2)
    assert one.next().settled.confirm == 2
    one.cancel()
    emit('shared')


def queues(channel):
    publisher = pb.PublisherStub(channel)
    for n in range(5):
        message = pb.Message(queue='grpc-queue', payload=b'%d' % n)
        assert publisher.Publish(pb.PublishRequest(message=message)).stored
    one = Subscribed(channel, credit=5, queue=pb.Queue(name='grpc-queue'))
    got = [one.next() for _ in range(5)]
    assert [one.message.payload for one in got] == [b'%d' % n for n in range(5)]
    one.settle([one.id for one in got[:4]], pb.ACTION_ACCEPT, confirm=9)
    assert one.next().settled.confirm == 9
    one.cancel()
    topics = pb.TopicsStub(channel)
    two = Subscribed(channel, queue=pb.Queue(name='grpc-queue', automatic=True))
    last = two.next()
    assert (last.message.payload, last.redeliveries, last.id) == (b'4', 1, 0), last
    two.cancel()
    assert topics.PurgeQueue(pb.PurgeQueueRequest(name='grpc-queue')).messages == 0
    emit('queues')


def serve(channel, opened):
    say = Say(pb.ServeRequest(open=pb.ServeOpen(filters=['grpc.svc.*'], credit=100)))
    serving = pb.RequestsStub(channel).Serve(iter(say))
    for told in serving:
        if told.WhichOneof('response') == 'opened':
            opened.set()
            continue
        asked = told.asked
        name = asked.message.subject.rsplit('.', 1)[1]
        if name == 'end':
            say.close()
            continue
        if name == 'fail':
            error = pb.ServeError(code=grpc.StatusCode.OUT_OF_RANGE.value[0], message='no')
            say(pb.ServeRequest(answer=pb.Answer(id=asked.id, error=error)))
        elif name == 'many':
            for n in range(3):
                message = pb.Message(payload=b'%d' % n)
                say(pb.ServeRequest(answer=pb.Answer(id=asked.id, message=message, more=n < 2)))
        elif name == 'echo':
            message = pb.Message(payload=asked.message.payload)
            say(pb.ServeRequest(answer=pb.Answer(id=asked.id, message=message)))


def requests(channel):
    stub = pb.RequestsStub(channel)
    opened = threading.Event()
    serving = threading.Thread(target=serve, args=(channel, opened), daemon=True)
    serving.start()
    assert opened.wait(PATIENCE)
    ask = lambda name: pb.Message(subject=f'grpc.svc.{name}', payload=b'question')
    answer = stub.Request(pb.RequestRequest(message=ask('echo')), timeout=PATIENCE)
    assert answer.message.payload == b'question', answer
    many = stub.RequestMany(pb.RequestManyRequest(message=ask('many')), timeout=PATIENCE)
    assert [answer.message.payload for answer in many] == [b'0', b'1', b'2']
    wrong = {'fail': grpc.StatusCode.OUT_OF_RANGE, 'silent': grpc.StatusCode.DEADLINE_EXCEEDED}
    for name, code in wrong.items():
        try:
            stub.Request(pb.RequestRequest(message=ask(name)), timeout=2)
            raise AssertionError(name)
        except grpc.RpcError as error:
            assert error.code() == code, error
    try:
        message = pb.Message(subject='grpc.nobody')
        stub.Request(pb.RequestRequest(message=message), timeout=PATIENCE)
        raise AssertionError('nobody answers')
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    end = pb.Message(subject='grpc.svc.end')
    assert pb.PublisherStub(channel).Publish(pb.PublishRequest(message=end)).receivers == 1
    serving.join(PATIENCE)
    assert not serving.is_alive(), 'a responder that has said all ends'
    emit('requests')


def discovery(channel, hosts):
    """What is registered here is seen by ZooKeeper's clients, and the other way round."""
    stub = pb.DiscoveryStub(channel)
    watch = stub.Watch(pb.ResolveRequest(service='web'), timeout=PATIENCE)
    assert list(next(watch).instances) == []
    instance = pb.Instance(
        service='web', id='one', address='10.0.0.1', port=80, weight=2, metadata={'zone': 'a'})
    lease = stub.Register(pb.RegisterRequest(instance=instance, lease_ms=60_000)).lease
    assert [one.id for one in next(watch).instances] == ['one']
    zookeeper = KazooClient(hosts=hosts)
    zookeeper.start(timeout=PATIENCE)
    data, stat = zookeeper.get('/services/web/one')
    said = json.loads(data)
    assert (said['address'], said['port'], said['payload']) == ('10.0.0.1', 80, {'zone': 'a'}), said
    assert stat.ephemeralOwner != 0 and stat.version == 0, stat
    assert zookeeper.exists('/services/web').children_count == 1
    zookeeper.create('/services/web/10.0.0.2:81', ephemeral=True)
    seen = next(watch).instances
    assert [(one.address, one.port) for one in seen] == [('10.0.0.2', 81), ('10.0.0.1', 80)], seen
    chosen = {
        stub.Choose(pb.ChooseRequest(service='web', policy=pb.POLICY_ROUND_ROBIN)).instance.id
        for _ in range(6)}
    assert chosen == {'one', '10.0.0.2:81'}, chosen
    gone = zookeeper.handler.event_object()
    zookeeper.DataWatch('/services/web/one', lambda data, stat: gone.set() if stat is None else None)
    assert stub.Renew(pb.RenewRequest(lease=lease, in_flight=3)).lease_ms == 60_000
    stub.Deregister(pb.DeregisterRequest(service='web', id='one', lease=lease))
    gone.wait(PATIENCE)
    assert gone.is_set(), 'who watches is told'
    assert [one.id for one in next(watch).instances] == ['10.0.0.2:81']
    zookeeper.stop()
    zookeeper.close()
    assert list(next(watch).instances) == [], 'it ends with its session'
    watch.cancel()
    emit('discovery')


def health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ('', 'entrepot.v1.Publisher'):
        told = stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert told.status == health_pb2.HealthCheckResponse.SERVING, told
    watching = stub.Watch(health_pb2.HealthCheckRequest(service=''))
    assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
    watching.cancel()
    emit('health')


def reflection(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=''),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol='entrepot.v1.Publisher'),
    ]
    services, file = stub.ServerReflectionInfo(iter(asked))
    names = [service.name for service in services.list_services_response.service]
    assert 'entrepot.v1.Subscriber' in names and 'grpc.health.v1.Health' in names, names
    assert file.file_descriptor_response.file_descriptor_proto
    emit('reflection')


def compression(port):
    for kind in (grpc.Compression.Gzip, grpc.Compression.NoCompression):
        with grpc.insecure_channel(f'127.0.0.1:{port}', compression=kind) as channel:
            one = Subscribed(channel, live=pb.Live(filters=['grpc.packed']))
            payload = b'x' * 1_000_000
            message = pb.Message(subject='grpc.packed', payload=payload)
            pb.PublisherStub(channel).Publish(pb.PublishRequest(message=message))
            assert one.payloads(1) == [payload]
            one.cancel()
    emit('compression')


def idle(port):
    """Longer than the broker waits for a sign of life, which grpcio gives by itself."""
    with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:
        one = Subscribed(channel, live=pb.Live(filters=['grpc.idle']))
        time.sleep(3)  # poll: that nothing happens, for as long as the broker's patience is configured
        message = pb.Message(subject='grpc.idle', payload=b'x')
        pb.PublisherStub(channel).Publish(pb.PublishRequest(message=message))
        assert one.payloads(1) == [b'x']
    emit('idle')


def main():
    port, zookeeper = sys.argv[1:]
    with grpc.insecure_channel(f'127.0.0.1:{port}') as channel:
        parts = (
            administration, errors, live, stream, offsets, shared, queues, requests)
        for part in parts:
            part(channel)
        discovery(channel, zookeeper)
        health(channel)
        reflection(channel)
    compression(port)
    idle(port)


main()
