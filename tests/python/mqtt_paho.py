"""What users of paho-mqtt do, one event a promise that was kept. Arguments: the port."""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from events import emit

PORT = int(sys.argv[1])
PATIENCE = 60
VERSIONS = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5.0": mqtt.MQTTv5}


class Client:
    """A client whose messages and answers can be waited for."""

    def __init__(self, name, version=mqtt.MQTTv5, will=None, clean=True, expiry=None):
        self.messages, self.answers = queue.Queue(), queue.Queue()
        old = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version, **old
        )
        self.paho.on_message = lambda client, data, message: self.messages.put(message)
        answered = lambda kind: lambda client, data, *rest: self.answers.put((kind, rest))
        self.paho.on_connect = answered("connect")
        self.paho.on_disconnect = answered("disconnect")
        self.paho.on_subscribe = answered("subscribe")
        self.paho.on_unsubscribe = answered("unsubscribe")
        self.paho.on_publish = answered("publish")
        if will:
            self.paho.will_set(*will)
        how = {}
        if version == mqtt.MQTTv5:
            how["clean_start"] = clean
            if expiry is not None:
                how["properties"] = Properties(PacketTypes.CONNECT)
                how["properties"].SessionExpiryInterval = expiry
        self.paho.connect("127.0.0.1", PORT, **how)
        self.paho.loop_start()
        flags, code = self.answer("connect")[:2]
        assert not code.is_failure, code
        self.present = flags.session_present

    def answer(self, kind):
        while True:
            found, rest = self.answers.get(timeout=PATIENCE)
            if found == kind:
                return rest

    def subscribe(self, *what, **how):
        self.paho.subscribe(*what, **how)
        return [code.value for code in self.answer("subscribe")[1]]

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        self.paho.publish(topic, payload, qos, retain, properties)
        return self.answer("publish")[1]

    def message(self):
        return self.messages.get(timeout=PATIENCE)

    def nothing_more(self, topic):
        """Publishes to itself: what was to come has come before that."""
        self.publish(topic, b"end", 1)
        message = self.message()
        assert message.payload == b"end", message.payload

    def close(self):
        self.paho.disconnect()
        self.answer("disconnect")
        self.paho.loop_stop()

    def vanish(self):
        """Goes without a goodbye."""
        self.paho.loop_stop()
        self.paho.socket().close()


def properties(kind=PacketTypes.PUBLISH, **values):
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def exchange():
    for name, version in VERSIONS.items():
        for qos in (0, 1, 2):
            client = Client(f"exchange-{qos}", version)
            assert client.subscribe(f"exchange/+/{qos}", qos) == [qos]
            payloads = [b"", b"x", bytes(range(256)) * 4096]
            for payload in payloads:
                client.publish(f"exchange/{name}/{qos}", payload, qos)
            for payload in payloads:
                message = client.message()
                assert (message.payload, message.qos) == (payload, qos), (name, qos)
            client.close()
    emit("exchange")


def many():
    client = Client("many")
    client.subscribe("many", 2)
    for number in range(3000):
        client.paho.publish("many", str(number), number % 3)
    # QoS 0 may overtake what waits for an acknowledgement; of each QoS all come, in their order.
    seen = {0: [], 1: [], 2: []}
    for _ in range(3000):
        message = client.message()
        seen[message.qos].append(int(message.payload))
    for qos, numbers in seen.items():
        assert numbers == list(range(qos, 3000, 3)), qos
    client.close()
    emit("many")


def options():
    one, two = Client("options-1"), Client("options-2")
    one.subscribe("options/#", options=SubscribeOptions(qos=1, noLocal=True))
    two.subscribe("options/#", options=SubscribeOptions(qos=1, retainAsPublished=True))
    one.publish("options/a", b"1", 1, retain=True)
    two.publish("options/a", b"2", 1)
    message = one.message()
    assert (message.payload, message.retain) == (b"2", False)
    first, second = two.message(), two.message()
    assert (first.payload, first.retain) == (b"1", True), "retain as published"
    assert (second.payload, second.retain) == (b"2", False)
    numbered = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=7)
    two.subscribe("options/b", options=SubscribeOptions(qos=1), properties=numbered)
    one.publish("options/b", b"3", 1)
    message = two.message()
    assert message.properties.SubscriptionIdentifier == [7], message.properties
    two.nothing_more("options/b")
    one.close()
    two.close()
    emit("options")


def everything_of_a_message():
    client = Client("properties")
    client.subscribe("properties/a", 1)
    sent = properties(
        PayloadFormatIndicator=1,
        MessageExpiryInterval=100,
        ContentType="text/plain",
        ResponseTopic="answers/1",
        CorrelationData=b"\x00\xff",
        UserProperty=[("b", "1"), ("a", "2"), ("b", "1")],
    )
    client.publish("properties/a", "ü".encode(), 1, properties=sent)
    got = client.message().properties
    assert 0 < got.MessageExpiryInterval <= 100, got
    got.MessageExpiryInterval = 100
    assert got.json() == sent.json(), (got.json(), sent.json())
    # An alias is between two parties.
    alias = properties(TopicAlias=3)
    client.publish("properties/a", b"first", 1, properties=alias)
    assert client.message().topic == "properties/a"
    client.paho.publish("", b"second", 1, properties=alias)
    message = client.message()
    assert (message.topic, message.payload) == ("properties/a", b"second")
    client.close()
    emit("properties")


def request_and_response():
    asks, answers = Client("asks"), Client("answers")
    answers.subscribe("service/+", 1)
    asks.subscribe("answers/asks", 1)
    question = properties(ResponseTopic="answers/asks", CorrelationData=b"17")
    asks.publish("service/double", b"21", 1, properties=question)
    request = answers.message()
    reply = properties(CorrelationData=request.properties.CorrelationData)
    twice = str(2 * int(request.payload))
    answers.publish(request.properties.ResponseTopic, twice, 1, properties=reply)
    answer = asks.message()
    assert (answer.payload, answer.properties.CorrelationData) == (b"42", b"17")
    asks.close()
    answers.close()
    emit("request")


def wills():
    witness = Client("witness")
    witness.subscribe("wills/+", 1)
    will = Client("will", will=("wills/lost", b"gone", 1))
    will.vanish()
    assert witness.message().payload == b"gone"
    proper = Client("proper", will=("wills/proper", b"gone", 1))
    proper.close()
    # Another client of the same name takes over, and the first one's will is due.
    first = Client("twice", will=("wills/twice", b"taken over", 1))
    second = Client("twice")
    assert witness.message().payload == b"taken over"
    assert first.answer("disconnect")[1].value == 0x8E
    first.paho.loop_stop()
    witness.nothing_more("wills/end")
    second.close()
    witness.close()
    emit("wills")


def shared():
    members = [Client(f"member-{number}") for number in range(3)]
    for member in members:
        assert member.subscribe("$share/group/shared/#", 1) == [1]
    publisher = Client("publisher")
    for number in range(300):
        publisher.publish("shared/a", str(number), 1)
    seen = []
    for member in members:
        own = []
        while len(own) < 100:
            own.append(int(member.message().payload))
        assert own == sorted(own)
        seen += own
    assert sorted(seen) == list(range(300))
    for member in members:
        member.close()
    publisher.close()
    emit("shared")


def nobody():
    client = Client("nobody")
    code = client.publish("nobody/listens", b"x", 1)
    assert code.value == 0x10, code
    client.subscribe("nobody/listens", 1)
    assert client.publish("nobody/listens", b"x", 1).value == 0
    client.paho.unsubscribe("nobody/listens")
    assert client.answer("unsubscribe")[1][0].value == 0
    client.paho.unsubscribe("nobody/listens")
    assert client.answer("unsubscribe")[1][0].value == 0x11
    client.close()
    emit("nobody")


def sessions():
    """What is sent to a client that is away waits for it, for as long as the broker runs."""
    client = Client("session", clean=False, expiry=600)
    assert not client.present
    client.subscribe("session/#", 1)
    client.vanish()
    publisher = Client("session-publisher")
    for number in range(10):
        publisher.publish("session/a", str(number), number % 3)
    client = Client("session", clean=False, expiry=600)
    assert client.present
    payloads = [int(client.message().payload) for _ in range(6)]
    assert payloads == [number for number in range(10) if number % 3], payloads
    client.close()
    client = Client("session", clean=True)
    assert not client.present
    publisher.publish("session/a", b"nobody", 1)
    publisher.close()
    client.close()
    emit("sessions")


exchange()
many()
options()
everything_of_a_message()
request_and_response()
wills()
shared()
nobody()
sessions()
