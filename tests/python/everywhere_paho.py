"""A subscriber, a responder or an asker with paho-mqtt. Arguments: the port, the role, and its topic."""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from events import emit

port, role, topic = int(sys.argv[1]), sys.argv[2], sys.argv[3]
version = mqtt.MQTTv311 if role == 'subscribe' and sys.argv[4:] == ['3.1.1'] else mqtt.MQTTv5
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
came = queue.Queue()


def properties(**values):
    made = Properties(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def tell(message):
    said = message.properties
    emit('message', subject=message.topic, text=message.payload.decode(),
         headers=getattr(said, 'UserProperty', []), content_type=getattr(said, 'ContentType', None))


def answer(request):
    said = request.properties
    keep = properties(CorrelationData=said.CorrelationData) if hasattr(said, 'CorrelationData') else None
    client.publish(said.ResponseTopic, str(2 * int(request.payload)), 1, properties=keep)
    emit('answered', to=said.ResponseTopic)


def on_message(_client, _userdata, message):
    came.put(message)


def on_subscribe(_client, _userdata, _mid, _reasons, _properties):
    emit('ready')
    if role == 'ask':
        asks = properties(ResponseTopic=topic, CorrelationData=b'\x00no. 7\xff')
        client.publish(sys.argv[4], b'21', 1, properties=asks)


client.on_message = on_message
client.on_subscribe = on_subscribe
client.connect('127.0.0.1', port)
client.subscribe(topic, 1)
client.loop_start()
while True:
    message = came.get()
    if role == 'respond':
        answer(message)
        continue
    if role == 'ask':
        correlation = getattr(message.properties, 'CorrelationData', b'').decode('latin-1')
        emit('answer', text=message.payload.decode(), correlation=correlation)
        break
    tell(message)
client.disconnect()
