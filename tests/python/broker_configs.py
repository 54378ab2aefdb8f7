"""Changes the broker's configuration while it runs.

Arguments: server, then `change`, or `after` for what comes after a restart.
"""

import sys

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic)

from events import emit, told

server, what = sys.argv[1:]
admin = AdminClient({'bootstrap.servers': server})
OPERATIONS = {'set': AlterConfigOpType.SET, 'delete': AlterConfigOpType.DELETE}
LARGE = b'x' * 50_000


def code(error):
    return error.args[0].name()


def change(operation, key, value=None, validate_only=False):
    entry = ConfigEntry(key, value, incremental_operation=OPERATIONS[operation])
    resource = ConfigResource(ConfigResource.Type.BROKER, '0', incremental_configs=[entry])
    done = admin.incremental_alter_configs([resource], validate_only=validate_only)
    try:
        done[resource].result()
        return None
    except KafkaException as error:
        return [code(error), error.args[0].str()]


def described(kind, name, key):
    resource = ConfigResource(kind, name)
    entry = admin.describe_configs([resource])[resource].result()[key]
    return [entry.value, entry.source]


def produced(topic):
    outcomes = []
    producer = Producer({'bootstrap.servers': server, 'message.max.bytes': 10_000_000})
    producer.produce(topic, LARGE, on_delivery=lambda error, _: outcomes.append(error))
    producer.flush()
    return outcomes[0] and outcomes[0].name()


def shown():
    return {'broker': described(ConfigResource.Type.BROKER, '0', 'message.max.bytes'),
            'topic': described(ConfigResource.Type.TOPIC, 'plain', 'max.message.bytes')}


if what == 'change':
    topics = [NewTopic('plain', 1), NewTopic('own', 1, config={'max.message.bytes': '100000'})]
    for made in admin.create_topics(topics).values():
        made.result()
    emit('before', shown=shown(), plain=produced('plain'))
    assert change('set', 'message.max.bytes', '20000') is None
    emit('changed', shown=shown(), plain=produced('plain'), own=produced('own'))
    emit('refused', fixed=change('set', 'num.partitions', '3'),
         value=change('set', 'message.max.bytes', 'many'),
         unknown=change('set', 'no.such.key', '1'))
    assert change('set', 'log.retention.ms', '1', validate_only=True) is None
    emit('tried', shown=described(ConfigResource.Type.BROKER, '0', 'log.retention.ms'))
else:
    emit('after', shown=shown(), plain=produced('plain'))
    assert change('delete', 'message.max.bytes') is None
    emit('deleted', shown=shown(), plain=produced('plain'))
    assert change('set', 'max.connections.per.ip.overrides', '127.0.0.1:6') is None
    emit('bounded')
    told().wait()
