import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;

/** What a transactional producer and its readers are promised. */
final class Transactions {
    private Transactions() {}

    static void addTo(Checks checks) {
        String kind = "transaction: ";
        checks.add(kind + "committed records are read, aborted ones are not", Transactions::ends);
        checks.add(kind + "several topics are committed as one", Transactions::severalTopics);
        checks.add(kind + "an open one holds readers of committed records back",
                Transactions::openHoldsBack);
        checks.add(kind + "two producers take turns in a partition", Transactions::twoProducers);
        checks.add(kind + "many small ones, one after another", Transactions::many);
        checks.add(kind + "one without records ends well", Transactions::empty);
        checks.add(kind + "a second producer with the id fences the first", Transactions::fences);
        checks.add(kind + "a producer that died leaves nothing committed", Transactions::died);
        checks.add(kind + "one that takes too long is aborted", Transactions::timesOut);
        checks.add(kind + "a time-out above the broker's bound is refused",
                Transactions::timeOutTooLong);
        checks.add(kind + "a failed send leads to an abort, and the next one works",
                Transactions::failedSend);
        checks.add(kind + "every codec inside", Transactions::codecs);
        for (String protocol : List.of("classic", "consumer")) {
            checks.add(kind + "offsets are committed with it (" + protocol + ")",
                    () -> offsets(protocol));
            checks.add(kind + "offsets of a group member that is gone are refused (" + protocol + ")",
                    () -> staleMember(protocol));
            checks.addAlone(kind + "records are copied once while the broker is killed ("
                    + protocol + ")", () -> copies(protocol));
        }
    }

    private static KafkaProducer<String, String> producer(String id, Object... settings) {
        Map<String, Object> all = Kafka.settings(settings);
        all.put("transactional.id", id);
        return Kafka.producer(all.entrySet().stream()
                .flatMap(entry -> java.util.stream.Stream.of(entry.getKey(), entry.getValue()))
                .toArray());
    }

    private static KafkaProducer<String, String> begun(String id, Object... settings) {
        KafkaProducer<String, String> producer = producer(id, settings);
        producer.initTransactions();
        producer.beginTransaction();
        return producer;
    }

    private static void send(KafkaProducer<String, String> producer, String topic, String value)
            throws Exception {
        producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
    }

    private static void ends() throws Exception {
        String topic = Kafka.topic(1);
        try (var producer = begun(Kafka.name("id"))) {
            send(producer, topic, "committed");
            producer.commitTransaction();
            producer.beginTransaction();
            send(producer, topic, "aborted");
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, topic, "after");
            producer.commitTransaction();
        }
        Checks.equal(List.of("committed", "after"), Kafka.committed(topic));
        Checks.equal(List.of("committed", "aborted", "after"), Kafka.uncommitted(topic));
        // Each marker takes one offset.
        Checks.equal(List.of(0L, 4L), Kafka.readAll(topic, "read_committed").stream()
                .map(ConsumerRecord::offset).toList());
    }

    private static void severalTopics() throws Exception {
        String one = Kafka.topic(2);
        String two = Kafka.topic(1);
        try (var producer = begun(Kafka.name("id"))) {
            for (String value : Kafka.numbers(0, 100)) {
                producer.send(new ProducerRecord<>(one, value, value));
                producer.send(new ProducerRecord<>(two, value, value));
            }
            producer.flush();
            Checks.equal(List.of(), Kafka.committed(one));
            producer.commitTransaction();
        }
        Checks.equal(new HashSet<>(Kafka.numbers(0, 100)), new HashSet<>(Kafka.committed(one)));
        Checks.equal(Kafka.numbers(0, 100), Kafka.committed(two));
    }

    private static void openHoldsBack() throws Exception {
        String topic = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        Kafka.fill(topic, 0, List.of("before"));
        try (var producer = begun(Kafka.name("id"));
                var reader = Kafka.consumer("isolation.level", "read_committed")) {
            send(producer, topic, "inside");
            Kafka.fill(topic, 0, List.of("outside"));
            reader.assign(List.of(partition));
            Checks.equal(List.of("before"), Kafka.values(Kafka.take(reader, 1)));
            Checks.equal(0, Kafka.poll(reader).count());
            Checks.equal(Map.of(partition, 1L), reader.endOffsets(List.of(partition)));
            producer.commitTransaction();
            Checks.equal(List.of("inside", "outside"), Kafka.values(Kafka.take(reader, 2)));
        }
    }

    private static void twoProducers() throws Exception {
        String topic = Kafka.topic(1);
        try (var one = begun(Kafka.name("id")); var two = begun(Kafka.name("id"))) {
            send(one, topic, "one 1");
            send(two, topic, "two 1");
            send(one, topic, "one 2");
            two.abortTransaction();
            two.beginTransaction();
            send(two, topic, "two 2");
            one.commitTransaction();
            Checks.equal(List.of("one 1", "one 2"), Kafka.committed(topic));
            two.commitTransaction();
        }
        Checks.equal(List.of("one 1", "one 2", "two 2"), Kafka.committed(topic));
    }

    private static void many() throws Exception {
        String topic = Kafka.topic(1);
        List<String> wanted = new ArrayList<>();
        try (var producer = producer(Kafka.name("id"))) {
            producer.initTransactions();
            for (int at = 0; at < 200; at++) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, "a" + at));
                producer.send(new ProducerRecord<>(topic, "b" + at));
                // Else the client (4.4.0) now and then ends the transaction before it has sent them:
                // its sender asks whether records wait, then what to send, and both calls of ours
                // fit in between. The records are then part of the next transaction.
                producer.flush();
                if (at % 3 == 0) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                    wanted.addAll(List.of("a" + at, "b" + at));
                }
            }
        }
        Checks.equal(wanted, Kafka.committed(topic));
    }

    private static void empty() throws Exception {
        try (var producer = begun(Kafka.name("id"))) {
            producer.commitTransaction();
            producer.beginTransaction();
            producer.abortTransaction();
        }
    }

    private static void fences() throws Exception {
        String topic = Kafka.topic(1);
        String id = Kafka.name("id");
        KafkaProducer<String, String> first = begun(id);
        send(first, topic, "first");
        try (var second = begun(id)) {
            send(second, topic, "second");
            Checks.fails(ProducerFencedException.class, () -> {
                first.commitTransaction();
                return null;
            });
            first.close(Duration.ofSeconds(5));
            second.commitTransaction();
        }
        Checks.equal(List.of("second"), Kafka.committed(topic));
    }

    private static void died() throws Exception {
        String topic = Kafka.topic(1);
        String id = Kafka.name("id");
        KafkaProducer<String, String> first = begun(id);
        send(first, topic, "lost");
        first.close(Duration.ZERO);
        try (var second = producer(id)) {
            second.initTransactions();
            Checks.equal(List.of(), Kafka.committed(topic));
            Kafka.fill(topic, 0, List.of("outside"));
            // The first one's transaction is over, and holds nobody back.
            Checks.equal(List.of("outside"), Kafka.committed(topic));
        }
    }

    private static void timesOut() throws Exception {
        String topic = Kafka.topic(1);
        var producer = begun(Kafka.name("id"), "transaction.timeout.ms", 1_000);
        send(producer, topic, "too slow");
        Kafka.fill(topic, 0, List.of("outside"));
        Checks.until("it is aborted", () -> Kafka.committed(topic).equals(List.of("outside")));
        Checks.fails(KafkaException.class, () -> {
            send(producer, topic, "late");
            producer.commitTransaction();
            return null;
        });
        producer.close(Duration.ofSeconds(5));
        Checks.equal(List.of("outside"), Kafka.committed(topic));
    }

    private static void timeOutTooLong() throws Exception {
        try (var producer = producer(Kafka.name("id"), "transaction.timeout.ms", 2_000_000_000)) {
            // The client has no exception of its own for it.
            KafkaException refused = Checks.fails(KafkaException.class, () -> {
                producer.initTransactions();
                return null;
            });
            Checks.that(refused.getMessage().contains("transaction.max.timeout.ms"),
                    "the bound is named: " + refused);
        }
    }

    private static void failedSend() throws Exception {
        String topic = Kafka.topic(1, "max.message.bytes", "1000");
        try (var producer = begun(Kafka.name("id"))) {
            producer.send(new ProducerRecord<>(topic, "x".repeat(5_000)));
            producer.flush();
            Checks.fails(KafkaException.class, () -> {
                producer.commitTransaction();
                return null;
            });
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, topic, "small");
            producer.commitTransaction();
        }
        Checks.equal(List.of("small"), Kafka.committed(topic));
    }

    private static void codecs() throws Exception {
        String topic = Kafka.topic(1);
        List<String> codecs = List.of("gzip", "snappy", "lz4", "zstd");
        for (String codec : codecs) {
            try (var producer = begun(Kafka.name("id"), "compression.type", codec)) {
                send(producer, topic, codec.repeat(100));
                producer.commitTransaction();
            }
        }
        Checks.equal(codecs.stream().map(codec -> codec.repeat(100)).toList(),
                Kafka.committed(topic));
    }

    private static KafkaConsumer<String, String> reader(String protocol, String group) {
        return Kafka.consumer("group.protocol", protocol, "group.id", group,
                "isolation.level", "read_committed", "max.poll.records", 50);
    }

    private static void offsets(String protocol) throws Exception {
        String source = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(source, 0);
        Kafka.fill(source, 0, Kafka.numbers(0, 10));
        try (var reader = reader(protocol, Kafka.name("group"));
                var producer = begun(Kafka.name("id"))) {
            reader.subscribe(List.of(source));
            Kafka.take(reader, 10);
            producer.sendOffsetsToTransaction(
                    Map.of(partition, new OffsetAndMetadata(5, "note")), reader.groupMetadata());
            producer.abortTransaction();
            Checks.equal(null, reader.committed(Set.of(partition)).get(partition));
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(
                    Map.of(partition, new OffsetAndMetadata(7, "note")), reader.groupMetadata());
            producer.commitTransaction();
            // Waits while an offset is pending (KIP-447).
            Checks.equal(new OffsetAndMetadata(7, "note"),
                    reader.committed(Set.of(partition)).get(partition));
        }
    }

    private static void staleMember(String protocol) throws Exception {
        String source = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(source, 0);
        Kafka.fill(source, 0, Kafka.numbers(0, 10));
        String group = Kafka.name("group");
        ConsumerGroupMetadata gone;
        try (var reader = reader(protocol, group)) {
            reader.subscribe(List.of(source));
            Kafka.take(reader, 10);
            gone = reader.groupMetadata();
        }
        try (var producer = begun(Kafka.name("id")); var reader = reader(protocol, group)) {
            reader.subscribe(List.of(source));
            Kafka.take(reader, 10);
            Checks.fails(KafkaException.class, () -> {
                producer.sendOffsetsToTransaction(
                        Map.of(partition, new OffsetAndMetadata(10)), gone);
                producer.commitTransaction();
                return null;
            });
            producer.abortTransaction();
            Checks.equal(null, reader.committed(Set.of(partition)).get(partition));
        }
    }

    private static void copies(String protocol) throws Exception {
        String source = Kafka.topic(2);
        String copy = Kafka.topic(2);
        List<String> wanted = Kafka.numbers(0, 2_000);
        Kafka.fill(source, 0, wanted.subList(0, 1_000));
        Kafka.fill(source, 1, wanted.subList(1_000, 2_000));
        String group = Kafka.name("group");
        String id = Kafka.name("id");
        int copied = 0;
        // Each round a new member with a new producer of the same id takes over.
        for (int round = 0; copied < 2_000; round++) {
            try (var reader = reader(protocol, group); var producer = producer(id)) {
                reader.subscribe(List.of(source));
                producer.initTransactions();
                int until = Math.min(2_000, copied + 700);
                while (copied < until) {
                    copied += copyOnce(reader, producer, copy);
                }
            }
            Checks.broker("restart");
        }
        List<String> read = Kafka.committed(copy);
        Checks.equal(2_000, read.size());
        Checks.equal(new HashSet<>(wanted), new HashSet<>(read));
    }

    private static int copyOnce(KafkaConsumer<String, String> reader,
            KafkaProducer<String, String> producer, String copy) {
        var records = Kafka.poll(reader);
        if (records.isEmpty()) {
            return 0;
        }
        producer.beginTransaction();
        for (ConsumerRecord<String, String> record : records) {
            producer.send(new ProducerRecord<>(copy, record.value(), record.value()));
        }
        producer.sendOffsetsToTransaction(records.nextOffsets(), reader.groupMetadata());
        producer.commitTransaction();
        return records.count();
    }
}
