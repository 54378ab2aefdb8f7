import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Kafka's command line tools against a broker: `Tools <address>`. */
final class Tools {
    private static final String GROUPS = "consumer.group.ConsumerGroupCommand";
    private static final String CONFIGS = "kafka.admin.ConfigCommand";

    private Tools() {}

    public static void main(String[] args) throws Exception {
        Kafka.connect(args[0]);
        // First, because it keeps the standard output as it is now.
        Checks checks = new Checks();
        Tool.prepare();
        addTo(checks);
        Programs.addTo(checks);
        checks.runAndExit(1);
    }

    private static void addTo(Checks checks) {
        checks.add("kafka-topics: make, list, describe, enlarge, delete", Tools::topics);
        checks.add("kafka-configs: a topic's", Tools::topicConfigs);
        checks.add("kafka-configs: the broker's", Tools::brokerConfigs);
        checks.add("kafka-configs: the broker's, changed", Tools::brokerConfigsChanged);
        checks.add("kafka-configs: the broker's loggers", Tools::brokerLoggers);
        checks.add("kafka-configs: quotas of users", Tools::userConfigs);
        checks.add("kafka-configs: a quota slows its client down", Tools::quotas);
        checks.add("kafka-consumer-groups: list, describe, reset, delete", Tools::groups);
        checks.add("kafka-consumer-groups: members and state", Tools::groupMembers);
        checks.add("kafka-groups: list", Tools::allGroups);
        checks.add("kafka-get-offsets: latest, earliest", Tools::offsets);
        checks.add("kafka-delete-records", Tools::deleteRecords);
        checks.add("kafka-log-dirs", Tools::logDirs);
        checks.add("kafka-broker-api-versions", Tools::apiVersions);
        checks.add("kafka-cluster: cluster-id", Tools::clusterId);
        checks.add("kafka-features: describe", Tools::features);
        checks.add("kafka-metadata-quorum: describe", Tools::quorum);
        checks.add("kafka-transactions: list, describe", Tools::transactions);
        checks.add("kafka-transactions: producers, hanging ones, abort", Tools::hanging);
        checks.add("kafka-leader-election", Tools::elects);
        checks.add("kafka-reassign-partitions: execute, verify", Tools::reassigns);
        checks.add("kafka-acls: add, list, remove", Tools::acls);
        checks.add("kafka-client-metrics: alter, describe, delete", Tools::clientMetrics);
        checks.add("kafka-share-groups: list", Tools::shareGroups);
        checks.add("kafka-share-groups: where a new group begins", Tools::shareGroupOffsets);
        checks.add("kafka-streams-groups: list", Tools::streamsGroups);
    }

    private static String filled(int partitions, int records) throws Exception {
        String topic = Kafka.topic(partitions);
        Kafka.fill(topic, 0, Kafka.numbers(0, records));
        return topic;
    }

    private static void topics() throws Exception {
        String topic = Kafka.name("topic");
        String tool = "TopicCommand";
        Tool.prints("Created topic " + topic, Tool.run(tool, "--create", "--topic", topic,
                "--partitions", "2", "--replication-factor", "1", "--config", "retention.ms=5000"));
        Tool.run(tool, "--create", "--topic", topic, "--if-not-exists");
        Checks.fails(Checks.Broken.class, () -> Tool.run(tool, "--create", "--topic", topic));
        Tool.prints(topic, Tool.run(tool, "--list"));
        String described = Tool.run(tool, "--describe", "--topic", topic);
        Tool.prints("PartitionCount: 2", described);
        Tool.prints("retention.ms=5000", described);
        Tool.prints(topic, Tool.run(tool, "--describe", "--topics-with-overrides"));
        for (String bad : List.of("--under-replicated-partitions", "--unavailable-partitions")) {
            Checks.that(!Tool.run(tool, "--describe", bad).contains("Topic: "), "none " + bad);
        }
        Tool.run(tool, "--alter", "--topic", topic, "--partitions", "4");
        Tool.prints("PartitionCount: 4", Tool.run(tool, "--describe", "--topic", topic));
        Tool.run(tool, "--delete", "--topic", topic);
        Checks.that(!Tool.run(tool, "--list").contains(topic), "it is deleted");
    }

    private static void topicConfigs() throws Exception {
        String[] topic = {"--entity-type", "topics", "--entity-name", Kafka.topic(1)};
        Tool.prints("Completed updating", Tool.run(CONFIGS,
                and(topic, "--alter", "--add-config", "retention.ms=4242,max.message.bytes=5000")));
        String described = Tool.run(CONFIGS, and(topic, "--describe"));
        Tool.prints("retention.ms=4242", described);
        Tool.prints("DYNAMIC_TOPIC_CONFIG:max.message.bytes=5000", described);
        Tool.run(CONFIGS, and(topic, "--alter", "--delete-config", "retention.ms"));
        Checks.that(!Tool.run(CONFIGS, and(topic, "--describe")).contains("retention.ms"),
                "it is back at its default");
        Tool.prints("segment.bytes=", Tool.run(CONFIGS, and(topic, "--describe", "--all")));
    }

    private static String[] and(String[] some, String... more) {
        List<String> all = new ArrayList<>(List.of(some));
        all.addAll(List.of(more));
        return all.toArray(new String[0]);
    }

    private static String broker() throws Exception {
        return Kafka.admin.describeCluster().controller().get().idString();
    }

    private static void brokerConfigs() throws Exception {
        Tool.prints("num.partitions=", Tool.run(CONFIGS, "--entity-type", "brokers",
                "--entity-name", broker(), "--describe", "--all"));
    }

    /** For one broker and for all, with what is set under what counts. */
    private static void brokerConfigsChanged() throws Exception {
        String key = "log.cleaner.delete.retention.ms";
        String[] one = {"--entity-type", "brokers", "--entity-name", broker()};
        String[] all = {"--entity-type", "brokers", "--entity-default"};
        Tool.prints("Completed updating default config", Tool.run(CONFIGS,
                and(all, "--alter", "--add-config", key + "=86400001")));
        Tool.prints("Completed updating config for broker", Tool.run(CONFIGS,
                and(one, "--alter", "--add-config", key + "=86400002")));
        Tool.prints(key + "=86400001", Tool.run(CONFIGS, and(all, "--describe")));
        String described = Tool.run(CONFIGS, and(one, "--describe"));
        Tool.prints(key + "=86400002 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:" + key
                + "=86400002, DYNAMIC_DEFAULT_BROKER_CONFIG:" + key + "=86400001, DEFAULT_CONFIG:"
                + key + "=86400000}", described);
        Tool.prints("delete.retention.ms=86400002", Tool.run(CONFIGS, "--entity-type", "topics",
                "--entity-name", Kafka.topic(1), "--describe", "--all"));
        for (String[] whose : List.of(one, all)) {
            Tool.run(CONFIGS, and(whose, "--alter", "--delete-config", key));
            Checks.that(!Tool.run(CONFIGS, and(whose, "--describe")).contains(key), "it is gone");
            var refused = Checks.fails(Checks.Broken.class, () -> Tool.run(CONFIGS,
                    and(whose, "--alter", "--add-config", "num.partitions=3")));
            Tool.prints("Cannot update these configs dynamically", refused.getMessage());
        }
    }

    private static void brokerLoggers() throws Exception {
        String[] loggers = {"--entity-type", "broker-loggers", "--entity-name", broker()};
        String name = "store";
        Tool.run(CONFIGS, and(loggers, "--alter", "--add-config", name + "=WARN"));
        Tool.prints(name + "=WARN", Tool.run(CONFIGS, and(loggers, "--describe")));
        Tool.run(CONFIGS, and(loggers, "--alter", "--delete-config", name));
        Checks.that(!Tool.run(CONFIGS, and(loggers, "--describe")).contains(name + "=WARN"),
                "it is back at what it was");
    }

    private static void userConfigs() throws Exception {
        String[] user = {"--entity-type", "users", "--entity-name", Kafka.name("user")};
        Tool.run(CONFIGS, and(user, "--alter", "--add-config", "consumer_byte_rate=2000000"));
        Tool.prints("consumer_byte_rate=2000000.0", Tool.run(CONFIGS, and(user, "--describe")));
        Tool.run(CONFIGS, and(user, "--alter", "--delete-config", "consumer_byte_rate"));
    }

    private static void quotas() throws Exception {
        String id = Kafka.name("client");
        String[] client = {"--entity-type", "clients", "--entity-name", id};
        Tool.run(CONFIGS, and(client, "--alter", "--add-config", "producer_byte_rate=1000"));
        Tool.prints("producer_byte_rate=1000.0", Tool.run(CONFIGS, and(client, "--describe")));
        String topic = Kafka.topic(1);
        // What was sent counts; the client rests for it. One without a quota is told of none.
        for (String who : List.of(id, Kafka.name("client"))) {
            var producer = Kafka.producer("client.id", who, "compression.type", "none");
            producer.send(new ProducerRecord<>(topic, "x".repeat(100_000))).get();
            double rest = producer.metrics().entrySet().stream()
                    .filter(metric -> metric.getKey().name().equals("produce-throttle-time-max"))
                    .mapToDouble(metric -> (double) metric.getValue().metricValue())
                    .max().orElse(Double.NaN);
            Checks.that(who.equals(id) == rest > 0, who + " rests for " + rest + " ms at most");
            producer.close(java.time.Duration.ZERO);
        }
        Checks.equal(2, Kafka.uncommitted(topic).size());
        Tool.run(CONFIGS, and(client, "--alter", "--delete-config", "producer_byte_rate"));
    }

    private static void groups() throws Exception {
        String topic = filled(1, 10);
        String group = Kafka.name("group");
        Kafka.admin.alterConsumerGroupOffsets(group, Map.of(
                new TopicPartition(topic, 0), new OffsetAndMetadata(4))).all().get();
        Tool.prints(group, Tool.run(GROUPS, "--list"));
        String described = Tool.run(GROUPS, "--describe", "--group", group);
        Checks.that(described.matches("(?s).*" + topic + " +0 +4 +10 +6 .*"), described);
        String[] reset = {"--reset-offsets", "--group", group, "--topic", topic};
        for (var way : Map.of("--to-earliest", 0, "--to-latest", 10, "--to-current", 4).entrySet()) {
            String planned = Tool.run(GROUPS, and(reset, way.getKey(), "--dry-run"));
            Checks.that(planned.matches("(?s).*" + topic + " +0 +" + way.getValue() + "\\s.*"),
                    way + " in: " + planned);
        }
        Tool.run(GROUPS, and(reset, "--shift-by", "3", "--execute"));
        described = Tool.run(GROUPS, "--describe", "--group", group);
        Checks.that(described.matches("(?s).*" + topic + " +0 +7 +10 +3 .*"), described);
        Tool.run(GROUPS, and(reset, "--to-datetime", "2020-01-01T00:00:00.000", "--execute"));
        Tool.run(GROUPS, "--delete-offsets", "--group", group, "--topic", topic);
        Tool.prints("was successful", Tool.run(GROUPS, "--delete", "--group", group));
    }

    private static void groupMembers() throws Exception {
        String topic = filled(2, 10);
        for (String protocol : List.of("classic", "consumer")) {
            String group = Kafka.name("group");
            try (var member = Kafka.consumer("group.protocol", protocol, "group.id", group,
                    "client.id", "somebody")) {
                member.subscribe(List.of(topic));
                Kafka.take(member, 10);
                Tool.prints("somebody", Tool.run(GROUPS, "--describe", "--group", group,
                        "--members", "--verbose"));
                Tool.prints("Stable", Tool.run(GROUPS, "--describe", "--group", group, "--state"));
                Tool.prints(group, Tool.run(GROUPS, "--list", "--state", "stable"));
                Checks.fails(Checks.Broken.class, () -> {
                    Tool.prints("was successful", Tool.run(GROUPS, "--delete", "--group", group));
                    return null;
                });
            }
        }
        Tool.prints(topic, Tool.run(GROUPS, "--describe", "--all-groups", "--offsets")
                + topic);
    }

    private static void allGroups() throws Exception {
        String group = Kafka.name("group");
        Kafka.admin.alterConsumerGroupOffsets(group, Map.of(
                new TopicPartition(Kafka.topic(1), 0), new OffsetAndMetadata(0))).all().get();
        Tool.prints(group, Tool.run("GroupsCommand", "--list"));
    }

    private static void offsets() throws Exception {
        String topic = filled(2, 10);
        for (var time : Map.of("-1", 10, "-2", 0, "latest", 10).entrySet()) {
            Tool.prints(topic + ":0:" + time.getValue(),
                    Tool.run("GetOffsetShell", "--topic", topic, "--time", time.getKey()));
        }
        Checks.equal(topic + ":1:0", Tool.run("GetOffsetShell", "--topic-partitions",
                topic + ":1").strip());
    }

    private static void deleteRecords() throws Exception {
        String topic = filled(1, 10);
        String file = Tool.file("{\"partitions\":[{\"topic\":\"" + topic
                + "\",\"partition\":0,\"offset\":6}],\"version\":1}");
        Tool.prints("low_watermark: 6",
                Tool.run("DeleteRecordsCommand", "--offset-json-file", file));
        Checks.equal(Kafka.numbers(6, 10), Kafka.uncommitted(topic));
    }

    private static void logDirs() throws Exception {
        String topic = filled(1, 10);
        Tool.prints("\"partition\":\"" + topic + "-0\"",
                Tool.run("LogDirsCommand", "--describe", "--topic-list", topic));
    }

    private static void apiVersions() throws Exception {
        String versions = Tool.run("BrokerApiVersionsCommand");
        for (String api : List.of("Produce(0): 0 to", "Fetch(1): ", "InitProducerId(22): ")) {
            Tool.prints(api, versions);
        }
    }

    private static void clusterId() throws Exception {
        String id = Kafka.admin.describeCluster().clusterId().get();
        Tool.prints(id, Tool.printed("ClusterTool", "",
                "cluster-id", "--bootstrap-server", Kafka.server));
    }

    private static void features() throws Exception {
        Tool.prints("transaction.version", Tool.run("FeatureCommand", "describe"));
    }

    private static void quorum() throws Exception {
        Tool.prints("LeaderId", Tool.run("MetadataQuorumCommand", "describe", "--status"));
    }

    private static void transactions() throws Exception {
        String topic = Kafka.topic(1);
        String id = Kafka.name("id");
        try (var producer = Programs.open(id, topic)) {
            Tool.prints(id, Tool.run("TransactionsCommand", "list"));
            Tool.prints(topic + "-0", Tool.run("TransactionsCommand", "describe",
                    "--transactional-id", id));
            producer.abortTransaction();
        }
    }

    private static void hanging() throws Exception {
        String topic = Kafka.topic(1);
        var producer = Programs.open(Kafka.name("id"), topic);
        Tool.prints("CurrentTransactionStartOffset", Tool.run("TransactionsCommand",
                "describe-producers", "--topic", topic, "--partition", "0"));
        Tool.run("TransactionsCommand", "find-hanging", "--broker-id", broker());
        Tool.run("TransactionsCommand", "abort", "--topic", topic, "--partition", "0",
                "--start-offset", "0");
        Kafka.fill(topic, 0, List.of("outside"));
        Checks.equal(List.of("outside"), Kafka.committed(topic));
        producer.close(java.time.Duration.ZERO);
    }

    private static void elects() throws Exception {
        Tool.prints("Valid replica already elected", Tool.run("LeaderElectionCommand",
                "--election-type", "preferred", "--topic", Kafka.topic(1), "--partition", "0"));
    }

    private static void reassigns() throws Exception {
        String topic = Kafka.topic(1);
        String file = Tool.file("{\"version\":1,\"partitions\":[{\"topic\":\"" + topic
                + "\",\"partition\":0,\"replicas\":[" + broker() + "]}]}");
        String tool = "reassign.ReassignPartitionsCommand";
        Tool.prints("Successfully started", Tool.run(tool, "--reassignment-json-file", file,
                "--execute"));
        Tool.prints("is completed", Tool.run(tool, "--reassignment-json-file", file, "--verify"));
        Tool.prints("No partition reassignments found", Tool.run(tool, "--list"));
    }

    private static void acls() throws Exception {
        String topic = Kafka.name("rule");
        String[] rule = {"--allow-principal", "User:somebody", "--operation", "Read",
            "--topic", topic};
        Tool.run("AclCommand", and(rule, "--add"));
        Tool.prints("User:somebody", Tool.run("AclCommand", "--list", "--topic", topic));
        Tool.run("AclCommand", and(rule, "--remove", "--force"));
    }

    private static void clientMetrics() throws Exception {
        String name = Kafka.name("metrics");
        String tool = "ClientMetricsCommand";
        Tool.run(tool, "--alter", "--name", name, "--interval", "60000",
                "--metrics", "org.apache.kafka.producer.");
        Tool.prints("interval.ms=60000", Tool.run(tool, "--describe", "--name", name));
        Tool.prints(name, Tool.run(tool, "--list"));
        Tool.run(tool, "--delete", "--name", name);
    }

    private static void shareGroups() throws Exception {
        String group = Kafka.name("share");
        try (var member = Programs.shareMember(group)) {
            member.subscribe(List.of(Kafka.topic(1)));
            Checks.until("it is listed", () -> {
                member.poll(Kafka.POLL);
                return Tool.run("consumer.group.ShareGroupCommand", "--list").contains(group);
            });
        }
    }

    private static void shareGroupOffsets() throws Exception {
        String topic = filled(1, 10);
        String group = Kafka.name("share");
        Kafka.admin.alterShareGroupOffsets(group, Map.of(new TopicPartition(topic, 0), 4L))
                .all().get();
        String tool = "consumer.group.ShareGroupCommand";
        String described = Tool.run(tool, "--describe", "--group", group);
        Checks.that(described.matches("(?s).*" + topic + " +0 +4 .*"), described);
        try (var member = Programs.shareMember(group)) {
            member.subscribe(List.of(topic));
            List<String> read = new ArrayList<>();
            Checks.until("what is left is read", () -> {
                member.poll(Kafka.POLL).forEach(record -> read.add(record.value()));
                return read.size() >= 6;
            });
            Checks.equal(Kafka.numbers(4, 10), read);
        }
    }

    private static void streamsGroups() throws Exception {
        Checks.that(!Tool.run("streams.StreamsGroupCommand", "--list").contains("Error"), "a list");
    }
}
