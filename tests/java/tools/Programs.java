import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Programs of Kafka's that produce and consume: consoles, loads, and those of its system tests. */
final class Programs {
    private Programs() {}

    static void addTo(Checks checks) {
        checks.add("kafka-console-producer, kafka-console-consumer", Programs::consoles);
        checks.add("kafka-console-consumer: a group, keys, headers and times", Programs::shown);
        checks.add("kafka-console-consumer: what groups have committed, by Kafka's own formatter",
                Programs::committed);
        checks.add("kafka-console-share-consumer", Programs::shareConsole);
        checks.add("kafka-producer-perf-test, kafka-consumer-perf-test", Programs::loads);
        checks.add("kafka-producer-perf-test: in transactions", Programs::loadInTransactions);
        checks.add("kafka-share-consumer-perf-test", Programs::shareLoad);
        checks.add("kafka-e2e-latency", Programs::latency);
        checks.add("VerifiableProducer, VerifiableConsumer: every record is acknowledged and read",
                () -> verifiable("classic"));
        checks.add("VerifiableConsumer: in a group of KIP-848", () -> verifiable("consumer"));
        checks.add("VerifiableShareConsumer", Programs::verifiableShare);
        checks.add("TransactionalMessageCopier: everything is copied once", Programs::copier);
        checks.add("ClientCompatibilityTest: what a client of this release needs",
                Programs::compatibility);
        checks.add("LogCompactionTester: of each key the last record stays", Programs::compaction);
        checks.add("kafka-streams-application-reset", Programs::reset);
    }

    static KafkaProducer<String, String> open(String id, String topic) throws Exception {
        KafkaProducer<String, String> producer = Kafka.producer("transactional.id", id);
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, 0, null, "inside")).get();
        return producer;
    }

    static KafkaShareConsumer<String, String> shareMember(String group) {
        var text = new StringDeserializer();
        return new KafkaShareConsumer<>(Kafka.config(Map.of("group.id", group)), text, text);
    }

    private static void consoles() throws Exception {
        String topic = Kafka.topic(1);
        Tool.fed("one\ntwo\nthree\n", "ConsoleProducer", "--topic", topic);
        Tool.prints("one\ntwo\nthree\n", Tool.run("consumer.ConsoleConsumer", "--topic", topic,
                "--from-beginning", "--max-messages", "3", "--timeout-ms", "20000"));
    }

    private static void shown() throws Exception {
        String topic = Kafka.topic(1);
        Tool.fed("h:1\tkey\tvalue\n", "ConsoleProducer", "--topic", topic, "--compression-codec",
                "zstd", "--reader-property", "parse.key=true",
                "--reader-property", "parse.headers=true");
        String shown = Tool.run("consumer.ConsoleConsumer", "--topic", topic, "--from-beginning",
                "--max-messages", "1", "--group", Kafka.name("group"), "--timeout-ms", "20000",
                "--formatter-property", "print.key=true",
                "--formatter-property", "print.headers=true",
                "--formatter-property", "print.offset=true",
                "--formatter-property", "print.timestamp=true");
        Tool.prints("CreateTime:", shown);
        Tool.prints("Offset:0\th:1\tkey\tvalue", shown);
    }

    private static void committed() throws Exception {
        String topic = Kafka.topic(1);
        String group = Kafka.name("group");
        Kafka.fill(topic, 0, List.of("one", "two"));
        Tool.run("consumer.ConsoleConsumer", "--topic", topic, "--from-beginning",
                "--max-messages", "2", "--group", group, "--timeout-ms", "20000");
        String shown = Tool.run("consumer.ConsoleConsumer", "--topic", "__consumer_offsets",
                "--from-beginning", "--timeout-ms", "10000", "--formatter",
                "org.apache.kafka.tools.consumer.OffsetsMessageFormatter");
        Tool.prints("{\"group\":\"" + group + "\",\"topic\":\"" + topic + "\",\"partition\":0}",
                shown);
        Tool.prints("\"value\":{\"version\":3,\"data\":{\"offset\":2,", shown);
    }

    private static String earliest(String group) throws Exception {
        Tool.run("kafka.admin.ConfigCommand", "--alter", "--entity-type", "groups",
                "--entity-name", group, "--add-config", "share.auto.offset.reset=earliest");
        return group;
    }

    private static void shareConsole() throws Exception {
        String topic = Kafka.topic(1);
        String group = earliest(Kafka.name("share"));
        Kafka.fill(topic, 0, List.of("one", "two"));
        Tool.prints("one\ntwo\n", Tool.run("consumer.ConsoleShareConsumer", "--topic", topic,
                "--group", group, "--max-messages", "2", "--timeout-ms", "20000"));
    }

    private static void produceLoad(String topic, String... more) throws Exception {
        String[] args = {"--topic", topic, "--num-records", "20000", "--record-size", "100",
            "--throughput", "-1", "--bootstrap-server", Kafka.server};
        String[] all = java.util.Arrays.copyOf(args, args.length + more.length);
        System.arraycopy(more, 0, all, args.length, more.length);
        Tool.prints("20000 records sent", Tool.printed("ProducerPerformance", "", all));
    }

    private static void loads() throws Exception {
        String topic = Kafka.topic(3);
        produceLoad(topic, "--command-property", "compression.type=lz4");
        String read = Tool.run("ConsumerPerformance", "--topic", topic, "--num-records", "20000",
                "--timeout", "20000");
        Checks.that(read.contains(", 20000, "), read);
    }

    private static void loadInTransactions() throws Exception {
        String topic = Kafka.topic(1);
        produceLoad(topic, "--transaction-duration-ms", "50");
        Checks.equal(20_000, Kafka.committed(topic).size());
    }

    private static void shareLoad() throws Exception {
        String topic = Kafka.topic(1);
        produceLoad(topic);
        String read = Tool.run("ShareConsumerPerformance", "--topic", topic, "--group",
                earliest(Kafka.name("share")), "--num-records", "20000", "--timeout", "20000");
        Checks.that(read.contains("20000"), read);
    }

    private static void latency() throws Exception {
        String topic = Kafka.topic(1);
        Tool.prints("Percentiles", Tool.run("EndToEndLatency", "--topic", topic, "--num-records",
                "50", "--producer-acks", "all", "--record-size", "100"));
    }

    /** In a virtual machine of its own: what these programs say last they say while it ends. */
    private static String own(String program, String... args) throws Exception {
        String[] all = new String[args.length + 2];
        all[0] = "--bootstrap-server";
        all[1] = Kafka.server;
        System.arraycopy(args, 0, all, 2, args.length);
        try (Child child = Child.start("org.apache.kafka.tools." + program, all)) {
            return child.await();
        }
    }

    private static void verifiable(String protocol) throws Exception {
        String topic = Kafka.topic(2);
        String produced = own("VerifiableProducer", "--topic", topic, "--max-messages",
                "1000", "--acks", "-1");
        Tool.prints("\"sent\":1000,\"acked\":1000", produced);
        String read = own("VerifiableConsumer", "--topic", topic, "--group-id",
                Kafka.name("group"), "--max-messages", "1000", "--group-protocol", protocol,
                "--reset-policy", "earliest");
        Tool.prints("\"name\":\"partitions_assigned\"", read);
        Tool.prints("\"name\":\"offsets_committed\"", read);
        Checks.that(!read.contains("\"success\":false"), read);
    }

    private static void verifiableShare() throws Exception {
        String topic = Kafka.topic(1);
        Kafka.fill(topic, 0, Kafka.numbers(0, 100));
        String read = own("VerifiableShareConsumer", "--topic", topic, "--group-id",
                Kafka.name("share"), "--max-messages", "100", "--acknowledgement-mode", "sync",
                "--offset-reset-strategy", "earliest");
        Tool.prints("\"name\":\"records_consumed\"", read);
        Tool.prints("\"name\":\"offsets_acknowledged\"", read);
        Checks.that(!read.contains("\"success\":false"), read);
    }

    private static void copier() throws Exception {
        String source = Kafka.topic(1);
        String copy = Kafka.topic(1);
        Kafka.fill(source, 0, Kafka.numbers(0, 1_000));
        Tool.printed("TransactionalMessageCopier", "", "--broker-list", Kafka.server,
                "--input-topic", source, "--input-partition", "0", "--output-topic", copy,
                "--max-messages", "1000", "--consumer-group", Kafka.name("group"),
                "--transactional-id", Kafka.name("id"), "--transaction-size", "100",
                "--enable-random-aborts");
        Checks.equal(Kafka.numbers(0, 1_000), Kafka.committed(copy));
    }

    private static void compatibility() throws Exception {
        Tool.printed("ClientCompatibilityTest", "", "--bootstrap-server", Kafka.server,
                "--topic", Kafka.name("compatibility"), "--offsets-for-times-supported", "true",
                "--cluster-id-supported", "true", "--expect-record-too-large-exception", "false",
                "--num-cluster-nodes", "1", "--create-topics-supported", "true",
                "--describe-acls-supported", "true", "--describe-configs-supported", "true",
                "--idempotent-producer-supported", "true");
    }

    private static void compaction() throws Exception {
        Tool.prints("Data verification is completed", Tool.run("LogCompactionTester",
                "--duplicates", "20", "--messages", "20000", "--topics", "1",
                "--percent-deletes", "10", "--sleep", "5"));
    }

    private static void reset() throws Exception {
        String input = Kafka.topic(1);
        String application = Kafka.name("application");
        Kafka.fill(input, 0, Kafka.numbers(0, 10));
        try (var member = Kafka.consumer("group.id", application)) {
            member.subscribe(List.of(input));
            Kafka.take(member, 10);
            member.commitSync();
        }
        Kafka.create(application + "-store-changelog", 1, Map.of());
        Tool.run("StreamsResetter", "--application-id", application, "--input-topics", input,
                "--force");
        Checks.that(!Kafka.admin.listTopics().names().get()
                .contains(application + "-store-changelog"), "the changelog is deleted");
    }
}
