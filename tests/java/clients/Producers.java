import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Partitioner;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.Utils;

/** What a producer is promised. */
final class Producers {
    private Producers() {}

    static void addTo(Checks checks) {
        for (String acks : List.of("0", "1", "all")) {
            checks.add("producer: what was sent with acks=" + acks + " is there", () -> acks(acks));
        }
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            checks.add("producer: " + codec + " comes back as it was sent", () -> codec(codec));
        }
        checks.add("producer: strong and weak compression levels", Producers::levels);
        checks.add("producer: five batches in flight arrive once and in order", Producers::inFlight);
        checks.add("producer: headers keep order, doubles, empty and null values", Producers::headers);
        checks.add("producer: null and empty keys and values differ", Producers::nulls);
        checks.add("producer: the time that was given is kept", Producers::createTime);
        checks.add("producer: LogAppendTime is the broker's", Producers::appendTime);
        checks.add("producer: a key lands where murmur2 says", Producers::placement);
        checks.add("producer: records without a key use every partition", Producers::spread);
        checks.add("producer: a partitioner of one's own decides", Producers::ownPartitioner);
        checks.add("producer: offsets and times in the answers are the record's", Producers::answers);
        checks.add("producer: a large record passes, a too large one is refused", Producers::large);
        checks.add("producer: max.message.bytes of the topic decides", Producers::maxMessageBytes);
        checks.add("producer: a topic is made on first use", Producers::autoCreate);
        checks.add("producer: a bad topic name is told", Producers::badName);
        checks.add("producer: a partition that is not there is refused", Producers::badPartition);
        checks.add("producer: a topic that is made anew is found", Producers::madeAnew);
        checks.add("producer: added partitions are found", Producers::partitionsAdded);
        checks.add("producer: a client instance id is given (KIP-714)", Producers::telemetry);
        checks.addAlone("producer: goes on after the broker was killed", Producers::brokerKilled);
    }

    private static void acks(String acks) throws Exception {
        String topic = Kafka.topic(1);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = Kafka.producer("acks", acks, "enable.idempotence", false)) {
            for (String value : Kafka.numbers(0, 100)) {
                sent.add(producer.send(new ProducerRecord<>(topic, value)));
            }
        }
        for (int at = 0; at < sent.size(); at++) {
            // Nobody answers acks=0, so the client knows no offset.
            Checks.equal(acks.equals("0") ? -1L : at, sent.get(at).get().offset());
        }
        Checks.until("all are there", () -> Kafka.uncommitted(topic).equals(Kafka.numbers(0, 100)));
    }

    private static void codec(String codec) throws Exception {
        String topic = Kafka.topic(1);
        List<String> values = new ArrayList<>();
        for (int at = 0; at < 500; at++) {
            values.add(("value " + at + " ").repeat(at % 40));
        }
        try (var producer = Kafka.producer("compression.type", codec, "linger.ms", 20)) {
            for (String value : values) {
                producer.send(new ProducerRecord<>(topic, value));
            }
        }
        Checks.equal(values, Kafka.uncommitted(topic));
    }

    private static void levels() throws Exception {
        String topic = Kafka.topic(1);
        Object[][] settings = {
            {"compression.type", "gzip", "compression.gzip.level", 9},
            {"compression.type", "gzip", "compression.gzip.level", 1},
            {"compression.type", "lz4", "compression.lz4.level", 17},
            {"compression.type", "zstd", "compression.zstd.level", 19},
        };
        for (Object[] setting : settings) {
            try (var producer = Kafka.producer(setting)) {
                producer.send(new ProducerRecord<>(topic, Arrays.toString(setting))).get();
            }
        }
        List<String> wanted = Arrays.stream(settings).map(Arrays::toString).toList();
        Checks.equal(wanted, Kafka.uncommitted(topic));
    }

    private static void inFlight() throws Exception {
        String topic = Kafka.topic(1);
        try (var producer = Kafka.producer("batch.size", 200, "linger.ms", 0,
                "max.in.flight.requests.per.connection", 5)) {
            for (String value : Kafka.numbers(0, 5_000)) {
                producer.send(new ProducerRecord<>(topic, value));
            }
        }
        Checks.equal(Kafka.numbers(0, 5_000), Kafka.uncommitted(topic));
    }

    private static void headers() throws Exception {
        String topic = Kafka.topic(1);
        List<Header> headers = List.of(
                new RecordHeader("b", Kafka.bytes("1")), new RecordHeader("a", new byte[] {0, -1}),
                new RecordHeader("b", Kafka.bytes("2")), new RecordHeader("empty", new byte[0]),
                new RecordHeader("null", (byte[]) null), new RecordHeader("", Kafka.bytes("no name")));
        try (var producer = Kafka.producer()) {
            producer.send(new ProducerRecord<>(topic, 0, null, "key", "value", headers)).get();
        }
        ConsumerRecord<String, String> read = Kafka.readAll(topic, "read_uncommitted").get(0);
        Checks.equal(headers, Arrays.asList(read.headers().toArray()));
    }

    private static void nulls() throws Exception {
        String topic = Kafka.topic(1);
        try (var producer = Kafka.producer()) {
            producer.send(new ProducerRecord<>(topic, 0, null, null)).get();
            producer.send(new ProducerRecord<>(topic, 0, "", "")).get();
        }
        List<ConsumerRecord<String, String>> read = Kafka.readAll(topic, "read_uncommitted");
        Checks.equal(null, read.get(0).key());
        Checks.equal(null, read.get(0).value());
        Checks.equal("", read.get(1).key());
        Checks.equal("", read.get(1).value());
    }

    private static void createTime() throws Exception {
        String topic = Kafka.topic(1);
        try (var producer = Kafka.producer()) {
            for (long time : List.of(1_700_000_000_123L, 0L, 1_600_000_000_000L)) {
                RecordMetadata sent =
                        producer.send(new ProducerRecord<>(topic, 0, time, null, "x")).get();
                Checks.equal(time, sent.timestamp());
            }
        }
        List<ConsumerRecord<String, String>> read = Kafka.readAll(topic, "read_uncommitted");
        Checks.equal(List.of(1_700_000_000_123L, 0L, 1_600_000_000_000L),
                read.stream().map(ConsumerRecord::timestamp).toList());
        Checks.equal(TimestampType.CREATE_TIME, read.get(0).timestampType());
    }

    private static void appendTime() throws Exception {
        String topic = Kafka.topic(1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        try (var producer = Kafka.producer()) {
            RecordMetadata sent = producer.send(new ProducerRecord<>(topic, 0, 1L, null, "x")).get();
            Checks.that(sent.timestamp() >= before, "the answer has the broker's time");
        }
        ConsumerRecord<String, String> read = Kafka.readAll(topic, "read_uncommitted").get(0);
        Checks.equal(TimestampType.LOG_APPEND_TIME, read.timestampType());
        Checks.that(read.timestamp() >= before, "the record has the broker's time");
    }

    private static void placement() throws Exception {
        String topic = Kafka.topic(7);
        try (var producer = Kafka.producer()) {
            for (String key : Kafka.numbers(0, 200)) {
                producer.send(new ProducerRecord<>(topic, key, key));
            }
        }
        for (ConsumerRecord<String, String> record : Kafka.readAll(topic, "read_uncommitted")) {
            int wanted = Utils.toPositive(Utils.murmur2(Kafka.bytes(record.key()))) % 7;
            Checks.equal(wanted, record.partition());
        }
    }

    private static void spread() throws Exception {
        String topic = Kafka.topic(4);
        Set<Integer> used = new HashSet<>();
        try (var producer = Kafka.producer("batch.size", 512)) {
            for (String value : Kafka.numbers(0, 2_000)) {
                producer.send(new ProducerRecord<>(topic, value),
                        (sent, failure) -> used.add(failure == null ? sent.partition() : -1));
            }
        }
        Checks.equal(Set.of(0, 1, 2, 3), used);
        Checks.equal(2_000, new HashSet<>(Kafka.uncommitted(topic)).size());
    }

    /** Everything to the last partition. */
    public static final class Last implements Partitioner {
        @Override
        public int partition(String topic, Object key, byte[] keyBytes, Object value,
                byte[] valueBytes, Cluster cluster) {
            return cluster.partitionCountForTopic(topic) - 1;
        }

        @Override
        public void close() {}

        @Override
        public void configure(Map<String, ?> configs) {}
    }

    private static void ownPartitioner() throws Exception {
        String topic = Kafka.topic(3);
        try (var producer = Kafka.producer("partitioner.class", Last.class)) {
            for (String value : Kafka.numbers(0, 10)) {
                Checks.equal(2, producer.send(new ProducerRecord<>(topic, value)).get().partition());
            }
        }
    }

    private static void answers() throws Exception {
        String topic = Kafka.topic(2);
        try (var producer = Kafka.producer()) {
            for (long offset = 0; offset < 3; offset++) {
                RecordMetadata sent =
                        producer.send(new ProducerRecord<>(topic, 1, 42L, "key", "value")).get();
                Checks.equal(topic + "-1@" + offset, sent.toString());
                Checks.equal(42L, sent.timestamp());
                Checks.equal(3, sent.serializedKeySize());
            }
            Checks.equal(2, producer.partitionsFor(topic).size());
        }
    }

    private static void large() throws Exception {
        String topic = Kafka.topic(1);
        String large = "x".repeat(1_000_000);
        try (var producer = Kafka.producer("max.request.size", 50_000_000)) {
            producer.send(new ProducerRecord<>(topic, large)).get();
            Checks.fails(RecordTooLargeException.class,
                    () -> producer.send(new ProducerRecord<>(topic, large + large)).get());
            producer.send(new ProducerRecord<>(topic, "after")).get();
        }
        Checks.equal(List.of(large, "after"), Kafka.uncommitted(topic));
    }

    private static void maxMessageBytes() throws Exception {
        String small = Kafka.topic(1, "max.message.bytes", "1000");
        String big = Kafka.topic(1, "max.message.bytes", "8000000");
        String value = "x".repeat(5_000_000);
        try (var producer = Kafka.producer("max.request.size", 50_000_000)) {
            producer.send(new ProducerRecord<>(small, "x".repeat(800))).get();
            Checks.fails(RecordTooLargeException.class,
                    () -> producer.send(new ProducerRecord<>(small, "x".repeat(2_000))).get());
            producer.send(new ProducerRecord<>(big, value)).get();
        }
        // A consumer's own bounds are smaller than that record, and it is given all the same.
        Checks.equal(List.of(value), Kafka.uncommitted(big));
    }

    private static void autoCreate() throws Exception {
        String topic = Kafka.name("made-on-first-use");
        Kafka.fill(topic, 0, List.of("first"));
        Checks.equal(List.of("first"), Kafka.uncommitted(topic));
    }

    private static void badName() throws Exception {
        try (var producer = Kafka.producer("max.block.ms", 5_000)) {
            Checks.fails(InvalidTopicException.class,
                    () -> producer.send(new ProducerRecord<>("not/a/name", "x")).get());
        }
    }

    private static void badPartition() throws Exception {
        String topic = Kafka.topic(2);
        try (var producer = Kafka.producer("max.block.ms", 2_000)) {
            Checks.fails(org.apache.kafka.common.errors.TimeoutException.class,
                    () -> producer.send(new ProducerRecord<>(topic, 2, null, "x")).get());
        }
    }

    private static void madeAnew() throws Exception {
        String topic = Kafka.topic(1);
        try (var producer = Kafka.producer()) {
            producer.send(new ProducerRecord<>(topic, "old")).get();
            Kafka.admin.deleteTopics(List.of(topic)).all().get();
            Kafka.create(topic, 1, Map.of());
            producer.send(new ProducerRecord<>(topic, "new")).get();
        }
        Checks.equal(List.of("new"), Kafka.uncommitted(topic));
    }

    private static void partitionsAdded() throws Exception {
        String topic = Kafka.topic(1);
        try (var producer = Kafka.producer("metadata.max.age.ms", 500)) {
            producer.send(new ProducerRecord<>(topic, "x")).get();
            var more = org.apache.kafka.clients.admin.NewPartitions.increaseTo(3);
            Kafka.admin.createPartitions(Map.of(topic, more)).all().get();
            Checks.until("three partitions", () -> producer.partitionsFor(topic).size() == 3);
            Checks.equal(0L, producer.send(new ProducerRecord<>(topic, 2, null, "x")).get().offset());
        }
    }

    private static void telemetry() throws Exception {
        try (var producer = Kafka.producer("enable.metrics.push", true)) {
            Checks.that(producer.clientInstanceId(Duration.ofSeconds(10)) != null, "an id");
        }
    }

    private static void brokerKilled() throws Exception {
        String topic = Kafka.topic(2);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = Kafka.producer()) {
            for (int at = 0; at < 3_000; at++) {
                sent.add(producer.send(
                        new ProducerRecord<>(topic, at % 2, null, Integer.toString(at))));
                if (at == 1_000) {
                    sent.get(0).get();
                    Checks.broker("restart");
                }
            }
        }
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
        for (int partition = 0; partition < 2; partition++) {
            int own = partition;
            List<String> wanted = Kafka.numbers(0, 3_000).stream()
                    .filter(number -> Integer.parseInt(number) % 2 == own).toList();
            List<String> read = Kafka.values(Kafka.readAll(topic, "read_uncommitted").stream()
                    .filter(record -> record.partition() == own).toList());
            Checks.equal(wanted, read);
            Checks.equal((long) wanted.size(), Kafka.admin.listOffsets(Map.of(
                    new TopicPartition(topic, partition),
                    org.apache.kafka.clients.admin.OffsetSpec.latest())).all().get()
                    .values().iterator().next().offset());
        }
    }
}
