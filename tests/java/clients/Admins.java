import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What an administrator is promised of topics, configurations and offsets. */
final class Admins {
    private static final Admin ADMIN = Kafka.admin;

    private Admins() {}

    static void addTo(Checks checks) {
        String kind = "admin: ";
        checks.add(kind + "topics are made as asked, and described so", Admins::createTopics);
        checks.add(kind + "a topic is made with the broker's defaults", Admins::defaults);
        checks.add(kind + "what is only validated is not made", Admins::validateOnly);
        checks.add(kind + "a topic is made with its replicas placed", Admins::placed);
        checks.add(kind + "topics that cannot be made say why", Admins::badTopics);
        checks.add(kind + "topics are described by name, by id and in numbers", Admins::describe);
        checks.add(kind + "topics are deleted by name and by id", Admins::delete);
        checks.add(kind + "topics are listed", Admins::list);
        checks.add(kind + "partitions are added, never taken", Admins::createPartitions);
        checks.add(kind + "a topic's configuration is whole, with sources", Admins::topicConfig);
        checks.add(kind + "a topic's configuration is changed by steps", Admins::alterConfig);
        checks.add(kind + "a list in a configuration is added to and taken from", Admins::alterList);
        checks.add(kind + "bad configurations are refused", Admins::badConfig);
        checks.add(kind + "a compacted topic can be made", Admins::compacted);
        checks.add(kind + "the broker's configuration is shown", Admins::brokerConfig);
        checks.add(kind + "the broker's configuration is changed while it runs", Admins::alterBroker);
        checks.add(kind + "log levels are shown and changed", Admins::loggers);
        checks.add(kind + "a group's configuration is changed and shown", Admins::groupConfig);
        checks.add(kind + "subscriptions to client metrics are kept and listed", Admins::metrics);
        checks.add(kind + "records are deleted up to an offset", Admins::deleteRecords);
        checks.add(kind + "offsets are listed by every specification", Admins::listOffsets);
        checks.add(kind + "tiered offsets are listed, and there are none", Admins::tieredOffsets);
        checks.add(kind + "a client instance id is given (KIP-714)", Admins::telemetry);
    }

    private static NewTopic topic(String name, int partitions) {
        return new NewTopic(name, Optional.of(partitions), Optional.empty());
    }

    private static TopicDescription described(String topic) throws Exception {
        return ADMIN.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private static void createTopics() throws Exception {
        String one = Kafka.name("topic");
        String two = Kafka.name("topic");
        var made = ADMIN.createTopics(List.of(
                topic(one, 3).configs(Map.of("retention.ms", "12345")),
                new NewTopic(two, 1, (short) 1)));
        made.all().get();
        Checks.equal(3, made.numPartitions(one).get());
        Checks.equal(1, made.replicationFactor(two).get());
        Checks.equal("12345", made.config(one).get().get("retention.ms").value());
        TopicDescription description = described(one);
        Checks.equal(made.topicId(one).get(), description.topicId());
        Checks.equal(3, description.partitions().size());
        Checks.equal(false, description.isInternal());
        for (var partition : description.partitions()) {
            Checks.equal(1, partition.replicas().size());
            Checks.equal(partition.replicas(), partition.isr());
            Checks.equal(partition.leader(), partition.replicas().get(0));
        }
    }

    private static void defaults() throws Exception {
        String name = Kafka.name("topic");
        ADMIN.createTopics(List.of(new NewTopic(name, Optional.empty(), Optional.empty()))).all().get();
        Checks.equal(1, described(name).partitions().size());
    }

    private static void validateOnly() throws Exception {
        String name = Kafka.name("topic");
        var options = new CreateTopicsOptions().validateOnly(true);
        ADMIN.createTopics(List.of(topic(name, 2)), options).all().get();
        Checks.fails(UnknownTopicOrPartitionException.class, () -> described(name));
    }

    private static void placed() throws Exception {
        int broker = ADMIN.describeCluster().nodes().get().iterator().next().id();
        String name = Kafka.name("topic");
        var placement = Map.of(0, List.of(broker), 1, List.of(broker));
        ADMIN.createTopics(List.of(new NewTopic(name, placement))).all().get();
        Checks.equal(2, described(name).partitions().size());
    }

    private static void badTopics() throws Exception {
        String taken = Kafka.topic(1);
        Checks.fails(TopicExistsException.class,
                () -> ADMIN.createTopics(List.of(topic(taken, 1))).all().get());
        Checks.fails(InvalidTopicException.class,
                () -> ADMIN.createTopics(List.of(topic("not/a/name", 1))).all().get());
        Checks.fails(InvalidPartitionsException.class,
                () -> ADMIN.createTopics(List.of(topic(Kafka.name("topic"), 0))).all().get());
        Checks.fails(InvalidReplicationFactorException.class, () -> ADMIN.createTopics(
                List.of(new NewTopic(Kafka.name("topic"), 1, (short) 3))).all().get());
        // The good ones of a request are made.
        String good = Kafka.name("topic");
        var made = ADMIN.createTopics(List.of(topic(good, 1), topic(taken, 1)));
        Checks.fails(TopicExistsException.class, () -> made.all().get());
        made.values().get(good).get();
    }

    private static void describe() throws Exception {
        Map<String, Uuid> ids = new HashMap<>();
        for (int at = 0; at < 30; at++) {
            String name = Kafka.topic(2);
            ids.put(name, described(name).topicId());
        }
        var byName = ADMIN.describeTopics(ids.keySet(),
                new org.apache.kafka.clients.admin.DescribeTopicsOptions()
                        .partitionSizeLimitPerResponse(7)).allTopicNames().get();
        Checks.equal(ids.keySet(), byName.keySet());
        Checks.that(byName.values().stream().allMatch(topic -> topic.partitions().size() == 2),
                "two partitions each");
        var byId = ADMIN.describeTopics(TopicCollection.ofTopicIds(ids.values())).allTopicIds().get();
        Checks.equal(new HashSet<>(ids.values()), byId.keySet());
        Checks.fails(UnknownTopicIdException.class, () -> ADMIN.describeTopics(
                TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds().get());
        Checks.fails(UnknownTopicOrPartitionException.class, () -> described("none-such"));
    }

    private static void delete() throws Exception {
        String byName = Kafka.topic(1);
        String byId = Kafka.topic(1);
        Uuid id = described(byId).topicId();
        ADMIN.deleteTopics(List.of(byName)).all().get();
        ADMIN.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        for (String gone : List.of(byName, byId)) {
            Checks.fails(UnknownTopicOrPartitionException.class, () -> described(gone));
        }
        Checks.fails(UnknownTopicOrPartitionException.class,
                () -> ADMIN.deleteTopics(List.of(byName)).all().get());
        Checks.fails(UnknownTopicIdException.class, () -> ADMIN.deleteTopics(
                TopicCollection.ofTopicIds(List.of(id))).all().get());
    }

    private static void list() throws Exception {
        String topic = Kafka.topic(1);
        Checks.that(ADMIN.listTopics().names().get().contains(topic), "it is listed");
        var all = ADMIN.listTopics(new ListTopicsOptions().listInternal(true)).listings().get();
        Uuid id = described(topic).topicId();
        Checks.that(all.stream().anyMatch(listed -> listed.topicId().equals(id)), "with its id");
    }

    private static void createPartitions() throws Exception {
        String topic = Kafka.topic(2);
        ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
        Checks.equal(5, described(topic).partitions().size());
        for (int count : List.of(5, 3)) {
            Checks.fails(InvalidPartitionsException.class, () -> ADMIN.createPartitions(
                    Map.of(topic, NewPartitions.increaseTo(count))).all().get());
        }
        Checks.fails(UnknownTopicOrPartitionException.class, () -> ADMIN.createPartitions(
                Map.of("none-such", NewPartitions.increaseTo(5))).all().get());
    }

    static ConfigResource resource(ConfigResource.Type type, String name) {
        return new ConfigResource(type, name);
    }

    static Config config(ConfigResource resource) throws Exception {
        var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return ADMIN.describeConfigs(List.of(resource), options).all().get().get(resource);
    }

    static void alter(ConfigResource resource, AlterConfigOp.OpType how, String key, String value)
            throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(key, value), how);
        ADMIN.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    private static void topicConfig() throws Exception {
        var topic = resource(ConfigResource.Type.TOPIC, Kafka.topic(1, "retention.ms", "777"));
        Config config = config(topic);
        // Every key that a topic of Kafka has.
        for (String key : topicKeys()) {
            Checks.that(config.get(key) != null, key + " is shown");
        }
        ConfigEntry set = config.get("retention.ms");
        Checks.equal("777", set.value());
        Checks.equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, set.source());
        Checks.equal(ConfigEntry.ConfigType.LONG, set.type());
        Checks.that(set.synonyms().size() > 1, "the default stands among the synonyms");
        Checks.that(!set.documentation().isEmpty(), "it is documented");
        Checks.that(config.get("segment.bytes").isDefault(), "what was not set is default");
    }

    /** The keys of topics as the client library names them. */
    private static List<String> topicKeys() throws Exception {
        List<String> keys = new java.util.ArrayList<>();
        for (var field : org.apache.kafka.common.config.TopicConfig.class.getDeclaredFields()) {
            if (field.getName().endsWith("_CONFIG")) {
                keys.add((String) field.get(null));
            }
        }
        // Tiered storage and downconversion are not for every broker.
        keys.removeIf(key -> key.contains("remote") || key.startsWith("local.")
                || key.contains("downconversion"));
        return keys;
    }

    private static void alterConfig() throws Exception {
        var topic = resource(ConfigResource.Type.TOPIC, Kafka.topic(1));
        String before = config(topic).get("retention.ms").value();
        alter(topic, AlterConfigOp.OpType.SET, "retention.ms", "4242");
        Checks.equal("4242", config(topic).get("retention.ms").value());
        alter(topic, AlterConfigOp.OpType.SET, "max.message.bytes", "5000");
        Checks.equal("4242", config(topic).get("retention.ms").value());
        alter(topic, AlterConfigOp.OpType.DELETE, "retention.ms", "");
        Checks.equal(before, config(topic).get("retention.ms").value());
        Checks.equal("5000", config(topic).get("max.message.bytes").value());
    }

    private static void alterList() throws Exception {
        var topic = resource(ConfigResource.Type.TOPIC, Kafka.topic(1));
        alter(topic, AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact");
        Checks.equal(Set.of("delete", "compact"),
                Set.of(config(topic).get("cleanup.policy").value().split(",")));
        alter(topic, AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "delete");
        Checks.equal("compact", config(topic).get("cleanup.policy").value());
    }

    private static void badConfig() throws Exception {
        var topic = resource(ConfigResource.Type.TOPIC, Kafka.topic(1));
        for (var bad : Map.of("retention.ms", "soon", "none.such", "1",
                "cleanup.policy", "burn").entrySet()) {
            Checks.fails(InvalidConfigurationException.class, () -> {
                alter(topic, AlterConfigOp.OpType.SET, bad.getKey(), bad.getValue());
                return null;
            });
        }
        Checks.fails(UnknownTopicOrPartitionException.class, () -> {
            alter(resource(ConfigResource.Type.TOPIC, "none-such"), AlterConfigOp.OpType.SET,
                    "retention.ms", "1");
            return null;
        });
        Checks.fails(InvalidConfigurationException.class,
                () -> Kafka.topic(1, "retention.ms", "soon"));
    }

    private static void compacted() throws Exception {
        String topic = Kafka.topic(1, "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.1");
        try (var producer = Kafka.producer()) {
            producer.send(new ProducerRecord<>(topic, "key", "value")).get();
            // A record without a key could never be told from another.
            Checks.fails(org.apache.kafka.common.InvalidRecordException.class,
                    () -> producer.send(new ProducerRecord<>(topic, "no key")).get());
        }
        Checks.equal(List.of("value"), Kafka.uncommitted(topic));
    }

    private static ConfigResource broker() throws Exception {
        var nodes = ADMIN.describeCluster().nodes().get();
        return resource(ConfigResource.Type.BROKER, nodes.iterator().next().idString());
    }

    private static void brokerConfig() throws Exception {
        Config config = config(broker());
        for (String key : List.of("num.partitions", "log.retention.ms", "message.max.bytes",
                "default.replication.factor", "auto.create.topics.enable", "listeners")) {
            Checks.that(config.get(key) != null, key + " is shown");
        }
        Checks.that(config.entries().stream().noneMatch(
                entry -> entry.isSensitive() && entry.value() != null), "no secret is shown");
    }

    /** Waits for a value: a broker of Kafka learns some of its configuration after the answer. */
    private static void until(ConfigResource resource, String key, String value) throws Exception {
        Checks.until(key + " is " + value,
                () -> value.equals(config(resource).get(key).value()));
    }

    private static void alterBroker() throws Exception {
        ConfigResource broker = broker();
        String before = config(broker).get("message.max.bytes").value();
        alter(broker, AlterConfigOp.OpType.SET, "message.max.bytes", "1048500");
        until(broker, "message.max.bytes", "1048500");
        alter(broker, AlterConfigOp.OpType.DELETE, "message.max.bytes", "");
        until(broker, "message.max.bytes", before);
    }

    private static void loggers() throws Exception {
        var loggers = resource(ConfigResource.Type.BROKER_LOGGER, broker().name());
        Config config = config(loggers);
        Checks.that(!config.entries().isEmpty(), "there are loggers");
        String name = config.entries().stream().map(ConfigEntry::name)
                .filter(logger -> !logger.equals("root")).findFirst().orElseThrow();
        alter(loggers, AlterConfigOp.OpType.SET, name, "DEBUG");
        Checks.equal("DEBUG", config(loggers).get(name).value());
        alter(loggers, AlterConfigOp.OpType.DELETE, name, "");
    }

    private static void groupConfig() throws Exception {
        var group = resource(ConfigResource.Type.GROUP, Kafka.name("group"));
        alter(group, AlterConfigOp.OpType.SET, "consumer.session.timeout.ms", "50000");
        until(group, "consumer.session.timeout.ms", "50000");
        Checks.that(ADMIN.listConfigResources(Set.of(ConfigResource.Type.GROUP),
                new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all().get()
                .contains(group), "it is listed");
        alter(group, AlterConfigOp.OpType.DELETE, "consumer.session.timeout.ms", "");
    }

    private static void metrics() throws Exception {
        var metrics = resource(ConfigResource.Type.CLIENT_METRICS, Kafka.name("metrics"));
        alter(metrics, AlterConfigOp.OpType.SET, "interval.ms", "60000");
        until(metrics, "interval.ms", "60000");
        Collection<ConfigResource> listed = ADMIN.listConfigResources(
                Set.of(ConfigResource.Type.CLIENT_METRICS),
                new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all().get();
        Checks.that(listed.contains(metrics), "it is listed among " + listed);
        alter(metrics, AlterConfigOp.OpType.DELETE, "interval.ms", "");
    }

    private static void deleteRecords() throws Exception {
        String topic = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        Kafka.fill(topic, 0, Kafka.numbers(0, 10));
        var deleted = ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4)));
        Checks.equal(4L, deleted.lowWatermarks().get(partition).get().lowWatermark());
        Checks.equal(Kafka.numbers(4, 10), Kafka.uncommitted(topic));
        Checks.fails(OffsetOutOfRangeException.class, () -> ADMIN.deleteRecords(
                Map.of(partition, RecordsToDelete.beforeOffset(11))).all().get());
        // -1 means all there are.
        ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).all().get();
        Checks.equal(10L, offset(partition, OffsetSpec.earliest()));
    }

    private static void telemetry() throws Exception {
        try (Admin admin = Admin.create(Kafka.config(Map.of("enable.metrics.push", true)))) {
            Checks.that(admin.clientInstanceId(Duration.ofSeconds(5)) != null, "an id");
        }
    }

    private static long offset(TopicPartition partition, OffsetSpec spec) throws Exception {
        return ADMIN.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
    }

    private static void listOffsets() throws Exception {
        String topic = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (var producer = Kafka.producer()) {
            for (long time : List.of(1_000L, 9_000L, 5_000L)) {
                producer.send(new ProducerRecord<>(topic, 0, time, null, "x")).get();
            }
        }
        Checks.equal(0L, offset(partition, OffsetSpec.earliest()));
        Checks.equal(3L, offset(partition, OffsetSpec.latest()));
        Checks.equal(0L, offset(partition, OffsetSpec.earliestLocal()));
        Checks.equal(1L, offset(partition, OffsetSpec.forTimestamp(1_001)));
        Checks.equal(-1L, offset(partition, OffsetSpec.forTimestamp(9_001)));
        var largest = ADMIN.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp()))
                .partitionResult(partition).get();
        Checks.equal(1L, largest.offset());
        Checks.equal(9_000L, largest.timestamp());
    }

    private static void tieredOffsets() throws Exception {
        TopicPartition partition = new TopicPartition(Kafka.topic(1), 0);
        Checks.equal(-1L, offset(partition, OffsetSpec.latestTiered()));
        Checks.equal(-1L, offset(partition, OffsetSpec.earliestPendingUpload()));
    }
}
