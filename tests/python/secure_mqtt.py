"""Logins and access rules at the MQTT door, over TLS: one event a promise that was kept. Arguments: port, authority,
password of bob, who is stored, and of alice, who is configured."""

import base64
import hashlib
import hmac
import queue
import socket
import ssl
import struct
import sys

import paho.mqtt.client as mqtt

from events import emit

PORT, AUTHORITY, BOB, ALICE = int(sys.argv[1]), *sys.argv[2:5]
PATIENCE = 60


def connect(user, password, version=mqtt.MQTTv5):
    """A client, and what it was answered."""
    answers = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
    client.messages, client.acks = queue.Queue(), queue.Queue()
    client.on_connect = lambda client, data, flags, code, properties: answers.put(code)
    client.on_message = lambda client, data, message: client.messages.put(message)
    client.on_publish = lambda client, data, number, code, properties: client.acks.put(code)
    client.on_subscribe = lambda client, data, number, codes, properties: client.acks.put(codes[0])
    client.tls_set(AUTHORITY)
    if user:
        client.username_pw_set(user, password)
    client.connect("localhost", PORT)
    client.loop_start()
    code = answers.get(timeout=PATIENCE)
    if code.is_failure:
        client.loop_stop()
    return client, code


def passwords():
    for version in (mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5):
        for user, password in (("alice", ALICE), ("bob", BOB)):
            client, code = connect(user, password, version)
            assert not code.is_failure, (version, user, code)
            client.disconnect()
            for wrong in ((user, password + "x"), ("nobody", password), (None, None)):
                assert connect(*wrong, version)[1].is_failure, (version, wrong)
    emit("passwords")


def measured(body):
    """With its length in front, seven bits a byte."""
    length, out = len(body), b""
    while True:
        out += bytes([length % 128 | (128 if length > 127 else 0)])
        length //= 128
        if not length:
            return out + body


def packet(first, body):
    return bytes([first]) + measured(body)


def text(value):
    return struct.pack(">H", len(value)) + value


class Steps:
    """A connection of 5.0 that logs in step by step."""

    def __init__(self, method):
        context = ssl.create_default_context(cafile=AUTHORITY)
        plain = socket.create_connection(("localhost", PORT), PATIENCE)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.method = method

    def properties(self, data):
        return measured(b"\x15" + text(self.method) + b"\x16" + text(data))

    def hello(self, data):
        body = text(b"MQTT") + b"\x05\x02\x00\x00" + self.properties(data) + text(b"steps")
        self.socket.sendall(packet(0x10, body))
        return self.answer()

    def step(self, data):
        self.socket.sendall(packet(0xF0, b"\x18" + self.properties(data)))
        return self.answer()

    def answer(self):
        """First byte, reason, and the data of the login."""
        first, length, shift = self.read(1)[0], 0, 0
        while True:
            byte = self.read(1)[0]
            length, shift = length | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        body = self.read(length)
        reason = body[1] if first == 0x20 else body[0]
        at, data = body.find(b"\x16", max(body.find(self.method), 0)), b""
        if at >= 0:
            data = body[at + 3:at + 3 + struct.unpack(">H", body[at + 1:at + 3])[0]]
        return first, reason, data

    def read(self, count):
        found = b""
        while len(found) < count:
            more = self.socket.recv(count - len(found))
            assert more, "closed"
            found += more
        return found


def scram(user, password, name="sha256"):
    """Logs in; the first byte of the last answer, and its reason."""
    steps = Steps(b"SCRAM-SHA-" + name[3:].encode())
    bare = f"n={user},r=rOprNGfwEbeRWgbNEkqO".encode()
    first, reason, challenge = steps.hello(b"n,," + bare)
    if first != 0xF0:
        return first, reason
    assert reason == 0x18
    fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salt = base64.b64decode(fields[b"s"])
    salted = hashlib.pbkdf2_hmac(name, password.encode(), salt, int(fields[b"i"]))
    sign = lambda key, what: hmac.new(key, what, name).digest()
    client_key = sign(salted, b"Client Key")
    last = b"c=biws,r=" + fields[b"r"]
    signed = b",".join([bare, challenge, last])
    signature = sign(hashlib.new(name, client_key).digest(), signed)
    proof = bytes(one ^ other for one, other in zip(client_key, signature))
    first, reason, answer = steps.step(last + b",p=" + base64.b64encode(proof))
    if first == 0x20 and reason == 0:
        # It knows the password, too.
        expected = base64.b64encode(sign(sign(salted, b"Server Key"), signed))
        assert answer == b"v=" + expected, answer
    return first, reason


def steps():
    for name in ("sha256", "sha512"):
        assert scram("bob", BOB, name) == (0x20, 0), name
        assert scram("bob", BOB + "x", name) == (0x20, 0x87), name
    assert Steps(b"NOTHING").hello(b"")[:2] == (0x20, 0x8C)
    emit("steps")


def rules():
    """Bob may read what begins with `open.`, and write `open.in`."""
    bob = connect("bob", BOB)[0]
    subscribe = lambda topic: (bob.subscribe(topic, 1), bob.acks.get(timeout=PATIENCE).value)[1]
    publish = lambda topic: (bob.publish(topic, b"x", 1), bob.acks.get(timeout=PATIENCE).value)[1]
    assert subscribe("open/in") == 1
    assert subscribe("open/#") == 1
    assert [subscribe(topic) for topic in ("#", "closed/a", "open")] == [0x87] * 3
    assert publish("open/in") == 0
    assert bob.messages.get(timeout=PATIENCE).topic == "open/in"
    assert [publish(topic) for topic in ("open/out", "closed/a")] == [0x87] * 2
    bob.disconnect()
    emit("rules")


passwords()
steps()
rules()
