"""What somebody may do before and after an administrator lets them, by librdkafka.

Arguments: server, topic.
"""

import sys

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType,
                                   AdminClient, NewTopic, ResourcePatternType, ResourceType)

from events import emit

server, topic = sys.argv[1:]


def login(user):
    return {'bootstrap.servers': server, 'security.protocol': 'SASL_PLAINTEXT',
            'sasl.mechanism': 'PLAIN', 'sasl.username': user, 'sasl.password': user + '-secret'}


def produce(user):
    said = []
    producer = Producer(login(user) | {'message.timeout.ms': 20000})
    producer.produce(topic, b'x', on_delivery=lambda error, _: said.append(error))
    producer.flush(30)
    return said[0].name() if said[0] else 'stored'


def acl(kind, name, pattern, operation, permission):
    return kind(ResourceType.TOPIC, name, pattern, 'User:alice', '*', operation, permission)


def results(futures):
    return [future.result() for future in futures.values()]


admin = AdminClient(login('admin'))
results(admin.create_topics([NewTopic(topic, 1)]))
emit('before', produced=produce('alice'))
alice = AdminClient(login('alice'))
try:
    results(alice.create_topics([NewTopic('other', 1)]))
except KafkaException as error:
    emit('not created', code=error.args[0].name())
allow = acl(AclBinding, topic[:3], ResourcePatternType.PREFIXED, AclOperation.WRITE,
            AclPermissionType.ALLOW)
results(admin.create_acls([allow]))
emit('allowed', produced=produce('alice'))
matching = acl(AclBindingFilter, topic, ResourcePatternType.MATCH, AclOperation.ANY,
               AclPermissionType.ANY)
found = admin.describe_acls(matching).result()
emit('found', acls=[[a.name, a.resource_pattern_type.name, a.operation.name] for a in found])
deny = acl(AclBinding, topic, ResourcePatternType.LITERAL, AclOperation.ALL,
           AclPermissionType.DENY)
results(admin.create_acls([deny]))
emit('denied', produced=produce('alice'))
deleted = results(admin.delete_acls([matching]))[0]
emit('deleted', acls=sorted(a.name for a in deleted), produced=produce('alice'))
