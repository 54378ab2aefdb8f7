import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Clients of the broker under test, and topics of their own for the checks. */
final class Kafka {
    /** How long one poll waits. */
    static final Duration POLL = Duration.ofMillis(200);

    private static final AtomicInteger NEXT = new AtomicInteger();

    static String server;
    static Admin admin;

    private Kafka() {}

    static void connect(String address) {
        server = address;
        admin = Admin.create(config(Map.of()));
    }

    /** What every client is told: time-outs with which a hang is a failure of its own check. */
    static Map<String, Object> config(Map<String, ?> more) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", server);
        config.put("request.timeout.ms", 15_000);
        config.put("default.api.timeout.ms", 30_000);
        config.putAll(more);
        return config;
    }

    static KafkaProducer<String, String> producer(Object... settings) {
        Map<String, Object> config = config(settings(settings));
        config.putIfAbsent("delivery.timeout.ms", 60_000);
        config.putIfAbsent("max.block.ms", 30_000);
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    /** A consumer of text that starts with the earliest record and commits when told. */
    static KafkaConsumer<String, String> consumer(Object... settings) {
        Map<String, Object> config = config(settings(settings));
        config.putIfAbsent("auto.offset.reset", "earliest");
        config.putIfAbsent("enable.auto.commit", false);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    static Map<String, Object> settings(Object... settings) {
        Map<String, Object> map = new HashMap<>();
        for (int at = 0; at < settings.length; at += 2) {
            map.put((String) settings[at], settings[at + 1]);
        }
        return map;
    }

    /** A name that no other check uses. */
    static String name(String stem) {
        return stem + "-" + NEXT.incrementAndGet();
    }

    static String topic(int partitions, String... configs) throws Exception {
        String name = name("topic");
        Map<String, String> config = new HashMap<>();
        settings((Object[]) configs).forEach((key, value) -> config.put(key, (String) value));
        create(name, partitions, config);
        return name;
    }

    static void create(String name, int partitions, Map<String, String> configs) throws Exception {
        NewTopic topic = new NewTopic(name, Optional.of(partitions), Optional.empty());
        admin.createTopics(List.of(topic.configs(configs))).all().get();
    }

    /** Sends values without a key to one partition, in order, and waits for all. */
    static void fill(String topic, int partition, Collection<String> values) throws Exception {
        try (KafkaProducer<String, String> producer = producer()) {
            for (String value : values) {
                producer.send(new ProducerRecord<>(topic, partition, null, value));
            }
            producer.flush();
        }
    }

    static List<String> numbers(int from, int to) {
        List<String> numbers = new ArrayList<>();
        for (int number = from; number < to; number++) {
            numbers.add(Integer.toString(number));
        }
        return numbers;
    }

    /** Polls until so many records have come, and no more than that. */
    static List<ConsumerRecord<String, String>> take(Consumer<String, String> consumer, int count)
            throws Exception {
        List<ConsumerRecord<String, String>> taken = new ArrayList<>();
        Checks.until(count + " records", () -> {
            poll(consumer).forEach(taken::add);
            return taken.size() >= count;
        });
        Checks.equal(count, taken.size());
        return taken;
    }

    static ConsumerRecords<String, String> poll(Consumer<String, String> consumer) {
        return consumer.poll(POLL);
    }

    static List<String> values(Collection<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).toList();
    }

    /** All partitions of a topic up to their ends, as a reader of this isolation level sees it. */
    static List<ConsumerRecord<String, String>> readAll(String topic, String isolation)
            throws Exception {
        List<ConsumerRecord<String, String>> all = new ArrayList<>();
        try (KafkaConsumer<String, String> reader = consumer("isolation.level", isolation)) {
            List<TopicPartition> partitions = reader.partitionsFor(topic).stream()
                    .map(info -> new TopicPartition(topic, info.partition())).toList();
            reader.assign(partitions);
            reader.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = reader.endOffsets(partitions);
            Checks.until("the ends " + ends, () -> {
                poll(reader).forEach(all::add);
                return partitions.stream().allMatch(p -> reader.position(p) >= ends.get(p));
            });
        }
        return all;
    }

    static List<String> committed(String topic) throws Exception {
        return values(readAll(topic, "read_committed"));
    }

    static List<String> uncommitted(String topic) throws Exception {
        return values(readAll(topic, "read_uncommitted"));
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
