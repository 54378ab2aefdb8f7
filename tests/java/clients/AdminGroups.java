import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** What an administrator is promised of groups. */
final class AdminGroups {
    private static final Admin ADMIN = Kafka.admin;

    private AdminGroups() {}

    static void addTo(Checks checks) {
        for (String protocol : List.of("classic", "consumer")) {
            String kind = "admin (" + protocol + " group): ";
            checks.add(kind + "it is listed and described with its members",
                    () -> described(protocol));
            checks.add(kind + "offsets are listed, altered and deleted", () -> offsets(protocol));
            checks.add(kind + "only an empty one is deleted or has offsets altered",
                    () -> inUse(protocol));
        }
        String kind = "admin (groups): ";
        checks.add(kind + "members are removed", AdminGroups::removesMembers);
        checks.add(kind + "offsets of several are listed in one call", AdminGroups::several);
        checks.add(kind + "one that is not there is told", AdminGroups::absent);
        checks.add(kind + "a share group is listed, described, its offsets altered and deleted",
                AdminGroups::shares);
        checks.add(kind + "a streams group that is not there is told", AdminGroups::noStreams);
    }

    private static KafkaConsumer<String, String> member(String protocol, String group,
            String topic) throws Exception {
        KafkaConsumer<String, String> member = Kafka.consumer("group.protocol", protocol,
                "group.id", group, "client.id", "client of " + group);
        member.subscribe(List.of(topic));
        Checks.until("partitions", () -> {
            Kafka.poll(member);
            return !member.assignment().isEmpty();
        });
        return member;
    }

    private static ConsumerGroupDescription described(String protocol) throws Exception {
        String topic = Kafka.topic(2);
        String group = Kafka.name("group");
        try (var member = member(protocol, group, topic)) {
            GroupType type = GroupType.parse(protocol);
            GroupListing listed = ADMIN.listGroups().all().get().stream()
                    .filter(one -> one.groupId().equals(group)).findFirst().orElseThrow();
            Checks.equal(type, listed.type().orElseThrow());
            Checks.equal("consumer", listed.protocol());
            var stable = ADMIN.listGroups(new ListGroupsOptions().inGroupStates(
                    Set.of(GroupState.STABLE)).withTypes(Set.of(type))).all().get();
            Checks.that(stable.contains(listed), "it is among the stable ones");
            var empty = ADMIN.listGroups(new ListGroupsOptions().inGroupStates(
                    Set.of(GroupState.EMPTY))).all().get();
            Checks.that(!empty.stream().anyMatch(one -> one.groupId().equals(group)),
                    "it is not among the empty ones");

            var description = ADMIN.describeConsumerGroups(List.of(group)).all().get().get(group);
            Checks.equal(GroupState.STABLE, description.groupState());
            Checks.equal(type, description.type());
            Checks.equal(1, description.members().size());
            var one = description.members().iterator().next();
            Checks.equal("client of " + group, one.clientId());
            Checks.that(one.host().contains("127.0.0.1"), "its host: " + one.host());
            Checks.equal(Set.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1)),
                    one.assignment().topicPartitions());
            Checks.equal(member.groupMetadata().memberId(), one.consumerId());
            if (type == GroupType.CLASSIC) {
                var classic = ADMIN.describeClassicGroups(List.of(group)).all().get().get(group);
                Checks.equal(1, classic.members().size());
            }
            return description;
        }
    }

    private static void offsets(String protocol) throws Exception {
        String topic = Kafka.topic(2);
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        String group = Kafka.name("group");
        Kafka.fill(topic, 0, Kafka.numbers(0, 10));
        try (var member = member(protocol, group, topic)) {
            member.commitSync(Map.of(zero, new OffsetAndMetadata(2, "note")));
        }
        var listed = ADMIN.listConsumerGroupOffsets(group);
        Checks.equal(Map.of(zero, new OffsetAndMetadata(2, "note")),
                listed.partitionsToOffsetAndMetadata().get());
        ADMIN.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(7),
                one, new OffsetAndMetadata(1))).all().get();
        Checks.equal(7L, ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
                .get(zero).offset());
        ADMIN.deleteConsumerGroupOffsets(group, Set.of(one)).all().get();
        Checks.equal(Set.of(zero), ADMIN.listConsumerGroupOffsets(group)
                .partitionsToOffsetAndMetadata().get().keySet());
        try (var member = Kafka.consumer("group.protocol", protocol, "group.id", group)) {
            member.subscribe(List.of(topic));
            Checks.equal(Kafka.numbers(7, 10), Kafka.values(Kafka.take(member, 3)));
        }
        ADMIN.deleteConsumerGroups(List.of(group)).all().get();
        Checks.fails(GroupIdNotFoundException.class,
                () -> ADMIN.describeConsumerGroups(List.of(group)).all().get());
    }

    private static void inUse(String protocol) throws Exception {
        String topic = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        String group = Kafka.name("group");
        try (var member = member(protocol, group, topic)) {
            member.commitSync(Map.of(partition, new OffsetAndMetadata(0)));
            Checks.fails(GroupNotEmptyException.class,
                    () -> ADMIN.deleteConsumerGroups(List.of(group)).all().get());
            Checks.fails(GroupSubscribedToTopicException.class,
                    () -> ADMIN.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get());
            Checks.fails(UnknownMemberIdException.class, () -> ADMIN.alterConsumerGroupOffsets(
                    group, Map.of(partition, new OffsetAndMetadata(1))).all().get());
        }
    }

    private static void removesMembers() throws Exception {
        String topic = Kafka.topic(1);
        String group = Kafka.name("group");
        KafkaConsumer<String, String> gone = Kafka.consumer("group.id", group,
                "group.instance.id", "instance");
        gone.subscribe(List.of(topic));
        Checks.until("partitions", () -> {
            Kafka.poll(gone);
            return !gone.assignment().isEmpty();
        });
        // A static member does not leave when it closes.
        gone.close();
        Checks.equal(1, ADMIN.describeConsumerGroups(List.of(group)).all().get().get(group)
                .members().size());
        ADMIN.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(
                Set.of(new MemberToRemove("instance")))).all().get();
        Checks.equal(0, ADMIN.describeConsumerGroups(List.of(group)).all().get().get(group)
                .members().size());
        try (var member = member("classic", group, topic)) {
            ADMIN.removeMembersFromConsumerGroup(group,
                    new RemoveMembersFromConsumerGroupOptions()).all().get();
            Checks.that(member.groupMetadata().generationId() > 0, "it had a generation");
        }
    }

    private static void several() throws Exception {
        String topic = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        String one = Kafka.name("group");
        String two = Kafka.name("group");
        for (String group : List.of(one, two)) {
            // Also makes the group.
            ADMIN.alterConsumerGroupOffsets(group,
                    Map.of(partition, new OffsetAndMetadata(group.length()))).all().get();
        }
        var spec = new ListConsumerGroupOffsetsSpec().topicPartitions(List.of(partition));
        var offsets = ADMIN.listConsumerGroupOffsets(Map.of(one, spec, two, spec)).all().get();
        for (String group : List.of(one, two)) {
            Checks.equal((long) group.length(), offsets.get(group).get(partition).offset());
        }
    }

    private static void absent() throws Exception {
        String none = Kafka.name("none-such");
        Checks.fails(GroupIdNotFoundException.class,
                () -> ADMIN.describeConsumerGroups(List.of(none)).all().get());
        Checks.fails(GroupIdNotFoundException.class,
                () -> ADMIN.deleteConsumerGroups(List.of(none)).all().get());
        Checks.equal(Map.of(),
                ADMIN.listConsumerGroupOffsets(none).partitionsToOffsetAndMetadata().get());
    }

    private static void shares() throws Exception {
        String topic = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        String group = Kafka.name("share");
        Kafka.fill(topic, 0, Kafka.numbers(0, 5));
        var config = Kafka.config(Map.of("group.id", group));
        var text = new org.apache.kafka.common.serialization.StringDeserializer();
        try (var member = new org.apache.kafka.clients.consumer.KafkaShareConsumer<>(
                config, text, text)) {
            member.subscribe(List.of(topic));
            Checks.until("it has a member", () -> {
                member.poll(Kafka.POLL);
                var described = ADMIN.describeShareGroups(List.of(group)).all().get().get(group);
                return described.members().size() == 1
                        && described.groupState() == GroupState.STABLE;
            });
            var listed = ADMIN.listGroups(ListGroupsOptions.forShareGroups()).all().get();
            Checks.that(listed.stream().anyMatch(one -> one.groupId().equals(group)), "it is listed");
        }
        ADMIN.alterShareGroupOffsets(group, Map.of(partition, 3L)).all().get();
        var spec = Map.of(group, new org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec());
        Checks.equal(3L, ADMIN.listShareGroupOffsets(spec).partitionsToOffsetInfo(group).get()
                .get(partition).startOffset());
        ADMIN.deleteShareGroupOffsets(group, Set.of(topic)).all().get();
        ADMIN.deleteShareGroups(List.of(group)).all().get();
        Checks.fails(GroupIdNotFoundException.class,
                () -> ADMIN.describeShareGroups(List.of(group)).all().get());
    }

    private static void noStreams() throws Exception {
        Checks.fails(GroupIdNotFoundException.class,
                () -> ADMIN.describeStreamsGroups(List.of("none-such")).all().get());
    }
}
