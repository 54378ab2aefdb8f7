"""What the admin client says of a consumer group of the new protocol.

Arguments: server, group.
"""

import sys

from confluent_kafka import ConsumerGroupTopicPartitions, ConsumerGroupType, KafkaException
from confluent_kafka.admin import AdminClient

from events import emit

server, group = sys.argv[1:]
admin = AdminClient({'bootstrap.servers': server})


def listed(**types):
    groups = admin.list_consumer_groups(request_timeout=10, **types).result().valid
    return {one.group_id: [one.type.name, one.state.name] for one in groups}


def partitions(assignment):
    return sorted([p.topic, p.partition] for p in assignment.topic_partitions)


emit("listed", all=listed(), consumer=listed(types={ConsumerGroupType.CONSUMER}),
     classic=listed(types={ConsumerGroupType.CLASSIC}))
described = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
emit("described", type=described.type.name, state=described.state.name,
     assignor=described.partition_assignor,
     members=[[partitions(m.assignment), partitions(m.target_assignment)]
              for m in described.members])
committed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
emit("committed", offsets=sorted([p.topic, p.partition, p.offset]
                                 for p in committed.topic_partitions))
try:
    admin.delete_consumer_groups([group], request_timeout=10)[group].result()
    emit("deleted")
except KafkaException as error:
    emit("not deleted", code=error.args[0].name())
