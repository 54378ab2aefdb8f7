"""Logins and access rules at the gRPC door, over TLS: one event a promise that was kept. Arguments: port, authority,
password of bob, who is stored, and of alice, who is configured."""

import base64
import pathlib
import socket
import ssl
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from events import emit
from grpc_generated import pb

PORT, AUTHORITY, BOB, ALICE = int(sys.argv[1]), *sys.argv[2:5]
PATIENCE = 60


def channel():
    trusted = grpc.ssl_channel_credentials(pathlib.Path(AUTHORITY).read_bytes())
    return grpc.secure_channel(f'localhost:{PORT}', trusted)


def login(user, password):
    """What a call says of who makes it."""
    said = base64.b64encode(f'{user}:{password}'.encode()).decode()
    return [('authorization', f'Basic {said}')]


def code(call, *args, **more):
    try:
        call(*args, timeout=PATIENCE, **more)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def passwords():
    with channel() as each:
        topics = pb.TopicsStub(each)
        ask = lambda metadata: code(topics.ListTopics, pb.ListTopicsRequest(), metadata=metadata)
        for user, password in (('alice', ALICE), ('bob', BOB)):
            assert ask(login(user, password)) == grpc.StatusCode.OK, user
            for wrong in (login(user, password + 'x'), login('nobody', password), []):
                assert ask(wrong) == grpc.StatusCode.UNAUTHENTICATED, (user, wrong)
        health = health_pb2_grpc.HealthStub(each)
        assert code(health.Check, health_pb2.HealthCheckRequest()) == grpc.StatusCode.OK
    emit('passwords')


def transport():
    """HTTP/2 is agreed on in the handshake, and nothing is answered without one."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    context.set_alpn_protocols(['h2', 'http/1.1'])
    plain = socket.create_connection(('localhost', PORT), PATIENCE)
    with context.wrap_socket(plain, server_hostname='localhost') as agreed:
        assert agreed.selected_alpn_protocol() == 'h2'
    with grpc.insecure_channel(f'localhost:{PORT}') as each:
        call = pb.TopicsStub(each).ListTopics
        told = code(call, pb.ListTopicsRequest(), metadata=login('alice', ALICE))
        assert told == grpc.StatusCode.UNAVAILABLE, told
    emit('transport')


def rules():
    """Bob may read what begins with `open.`, write `open.in`, and register the service `web`."""
    ok, denied = grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED
    bob = login('bob', BOB)
    with channel() as each:
        publisher = pb.PublisherStub(each)

        def publish(subject):
            message = pb.Message(subject=subject, payload=b'x')
            return code(publisher.Publish, pb.PublishRequest(message=message), metadata=bob)

        def subscribe(subject):
            """A subscription, and how it went."""
            live = pb.Live(filters=[subject])
            asked = iter([pb.SubscribeRequest(open=pb.Open(credit=10, live=live))])
            call = pb.SubscriberStub(each).Subscribe(asked, timeout=PATIENCE, metadata=bob)
            try:
                next(call)
            except StopIteration:
                return ok
            except grpc.RpcError as error:
                return error.code()
            return ok

        assert [publish(subject) for subject in ('open.in', 'open.out', 'closed')] == [ok, denied, denied]
        assert [subscribe(subject) for subject in ('open.in', 'open.>')] == [ok, ok]
        assert [subscribe(subject) for subject in ('>', '*.in', 'closed')] == [denied] * 3
        discovery = pb.DiscoveryStub(each)
        register = lambda service: code(
            discovery.Register, pb.RegisterRequest(instance=pb.Instance(service=service)), metadata=bob)
        assert [register(service) for service in ('web', 'other')] == [ok, denied]
    emit('rules')


passwords()
transport()
rules()
