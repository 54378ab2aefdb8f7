import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;

/** What the consumers of a share group are promised (KIP-932). */
final class Shares {
    private Shares() {}

    static void addTo(Checks checks) {
        String kind = "share group: ";
        checks.add(kind + "each record goes to one of its consumers", Shares::shares);
        checks.add(kind + "an accepted record does not come again", Shares::accepts);
        checks.add(kind + "a released record comes again, and counts its deliveries", Shares::releases);
        checks.add(kind + "a rejected record does not come again", Shares::rejects);
        checks.add(kind + "records of a consumer that left go to another", Shares::takesOver);
        checks.add(kind + "a commit says how each partition went", Shares::commits);
        checks.addAlone(kind + "what was accepted stays so when the broker was killed",
                Shares::brokerKilled);
    }

    private static KafkaShareConsumer<String, String> consumer(String group, String mode) {
        Map<String, Object> config = Kafka.config(Map.of("group.id", group,
                "share.acknowledgement.mode", mode));
        return new KafkaShareConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    /** A group that begins with the earliest record. */
    private static String group() throws Exception {
        String group = Kafka.name("share");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        AlterConfigOp earliest = new AlterConfigOp(
                new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
        Kafka.admin.incrementalAlterConfigs(Map.of(resource, List.of(earliest))).all().get();
        return group;
    }

    private static List<ConsumerRecord<String, String>> take(
            KafkaShareConsumer<String, String> consumer, int count) throws Exception {
        List<ConsumerRecord<String, String>> taken = new ArrayList<>();
        Checks.until(count + " records", () -> {
            consumer.poll(Kafka.POLL).forEach(record -> {
                taken.add(record);
                if (taken.size() < count) {
                    consumer.acknowledge(record);
                }
            });
            return taken.size() >= count;
        });
        return taken;
    }

    private static void shares() throws Exception {
        String topic = Kafka.topic(1);
        String group = group();
        List<String> read = new ArrayList<>();
        try (var one = consumer(group, "implicit"); var two = consumer(group, "implicit")) {
            one.subscribe(List.of(topic));
            two.subscribe(List.of(topic));
            Kafka.fill(topic, 0, Kafka.numbers(0, 1_000));
            Checks.until("all records", () -> {
                one.poll(Kafka.POLL).forEach(record -> read.add(record.value()));
                two.poll(Kafka.POLL).forEach(record -> read.add(record.value()));
                return read.size() >= 1_000;
            });
        }
        Checks.equal(1_000, read.size());
        Checks.equal(new HashSet<>(Kafka.numbers(0, 1_000)), new HashSet<>(read));
    }

    /** What a consumer sees of five records when the first was acknowledged like this before. */
    private static List<ConsumerRecord<String, String>> after(AcknowledgeType type)
            throws Exception {
        String topic = Kafka.topic(1);
        String group = group();
        Kafka.fill(topic, 0, List.of("first"));
        try (var consumer = consumer(group, "explicit")) {
            consumer.subscribe(List.of(topic));
            ConsumerRecord<String, String> first = take(consumer, 1).get(0);
            Checks.equal((short) 1, first.deliveryCount().orElse((short) 0));
            consumer.acknowledge(first, type);
            consumer.commitSync();
            Kafka.fill(topic, 0, List.of("second"));
            List<ConsumerRecord<String, String>> seen = new ArrayList<>();
            Checks.until("the second record", () -> {
                consumer.poll(Kafka.POLL).forEach(record -> {
                    seen.add(record);
                    consumer.acknowledge(record);
                });
                return seen.stream().anyMatch(record -> record.value().equals("second"));
            });
            return seen;
        }
    }

    private static void accepts() throws Exception {
        Checks.equal(List.of("second"), Kafka.values(after(AcknowledgeType.ACCEPT)));
    }

    private static void releases() throws Exception {
        List<ConsumerRecord<String, String>> seen = after(AcknowledgeType.RELEASE);
        Checks.equal(List.of("first", "second"), Kafka.values(seen));
        Checks.equal((short) 2, seen.get(0).deliveryCount().orElse((short) 0));
    }

    private static void rejects() throws Exception {
        Checks.equal(List.of("second"), Kafka.values(after(AcknowledgeType.REJECT)));
    }

    private static void takesOver() throws Exception {
        String topic = Kafka.topic(1);
        String group = group();
        Kafka.fill(topic, 0, List.of("only"));
        try (var other = consumer(group, "explicit")) {
            try (var leaver = consumer(group, "explicit")) {
                leaver.subscribe(List.of(topic));
                take(leaver, 1);
            }
            other.subscribe(List.of(topic));
            ConsumerRecord<String, String> again = take(other, 1).get(0);
            Checks.equal("only", again.value());
            other.acknowledge(again);
            other.commitSync();
        }
    }

    private static void commits() throws Exception {
        String topic = Kafka.topic(1);
        Kafka.fill(topic, 0, Kafka.numbers(0, 3));
        try (var consumer = consumer(group(), "explicit")) {
            consumer.subscribe(List.of(topic));
            List<ConsumerRecord<String, String>> taken = take(consumer, 3);
            consumer.acknowledge(taken.get(taken.size() - 1));
            var answers = consumer.commitSync();
            Checks.that(answers.values().stream().allMatch(failure -> failure.isEmpty()),
                    "no failure in " + answers);
        }
    }

    private static void brokerKilled() throws Exception {
        String topic = Kafka.topic(1);
        String group = group();
        Kafka.fill(topic, 0, Kafka.numbers(0, 10));
        try (var consumer = consumer(group, "explicit")) {
            consumer.subscribe(List.of(topic));
            List<ConsumerRecord<String, String>> taken = take(consumer, 10);
            consumer.acknowledge(taken.get(taken.size() - 1));
            consumer.commitSync();
            Checks.broker("restart");
            Kafka.fill(topic, 0, List.of("after"));
            Checks.equal("after", take(consumer, 1).get(0).value());
        }
    }
}
