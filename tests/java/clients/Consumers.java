import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.WakeupException;

/** What a consumer is promised that reads the partitions that it names itself. */
final class Consumers {
    private final String protocol;

    private Consumers(String protocol) {
        this.protocol = protocol;
    }

    /** The client has two implementations, one for each group protocol. */
    static void addTo(Checks checks, String protocol) {
        Consumers of = new Consumers(protocol);
        String kind = "consumer (" + protocol + "): ";
        checks.add(kind + "reads each record once, in order", of::readsInOrder);
        checks.add(kind + "seeks to the beginning, the end and an offset", of::seeks);
        checks.add(kind + "finds offsets by time", of::offsetsForTimes);
        checks.add(kind + "a paused partition gives nothing until it is resumed", of::pauses);
        checks.add(kind + "auto.offset.reset: earliest, latest, by_duration, none", of::resets);
        checks.add(kind + "an offset out of range is told", of::outOfRange);
        checks.add(kind + "positions, lag and ends", of::positions);
        checks.add(kind + "max.poll.records and small fetch bounds", of::bounds);
        checks.add(kind + "offsets are committed with metadata and read back", of::commits);
        checks.add(kind + "a commit without waiting calls back", of::commitsAsync);
        checks.add(kind + "offsets are committed by themselves at close", of::autoCommit);
        checks.add(kind + "wakeup ends a poll", of::wakeup);
        checks.add(kind + "lists topics, and makes none where it is told not to", of::topics);
        checks.add(kind + "a bad topic name is told", of::badName);
        checks.add(kind + "records that were deleted are skipped", of::deletedRecords);
        checks.add(kind + "a topic that is made anew is read from its start", of::madeAnew);
        checks.add(kind + "a client instance id is given (KIP-714)", of::telemetry);
        checks.addAlone(kind + "goes on after the broker was killed", of::brokerKilled);
    }

    private KafkaConsumer<String, String> consumer(Object... settings) {
        Map<String, Object> all = Kafka.settings(settings);
        all.put("group.protocol", protocol);
        all.putIfAbsent("group.id", Kafka.name("group"));
        return Kafka.consumer(all.entrySet().stream()
                .flatMap(entry -> java.util.stream.Stream.of(entry.getKey(), entry.getValue()))
                .toArray());
    }

    private static TopicPartition filled(int records) throws Exception {
        String topic = Kafka.topic(1);
        Kafka.fill(topic, 0, Kafka.numbers(0, records));
        return new TopicPartition(topic, 0);
    }

    private void readsInOrder() throws Exception {
        TopicPartition partition = filled(2_500);
        try (var consumer = consumer()) {
            consumer.assign(List.of(partition));
            var records = Kafka.take(consumer, 2_500);
            Checks.equal(Kafka.numbers(0, 2_500), Kafka.values(records));
            for (int at = 0; at < records.size(); at++) {
                Checks.equal((long) at, records.get(at).offset());
            }
        }
    }

    private void seeks() throws Exception {
        TopicPartition partition = filled(100);
        try (var consumer = consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 90);
            Checks.equal(Kafka.numbers(90, 100), Kafka.values(Kafka.take(consumer, 10)));
            consumer.seekToBeginning(List.of(partition));
            Checks.equal(0L, consumer.position(partition));
            Checks.equal(Kafka.numbers(0, 100), Kafka.values(Kafka.take(consumer, 100)));
            consumer.seekToEnd(List.of(partition));
            Checks.equal(100L, consumer.position(partition));
            consumer.seek(partition, new OffsetAndMetadata(99, "kept"));
            Checks.equal(List.of("99"), Kafka.values(Kafka.take(consumer, 1)));
        }
    }

    private void offsetsForTimes() throws Exception {
        String topic = Kafka.topic(2);
        TopicPartition partition = new TopicPartition(topic, 0);
        TopicPartition empty = new TopicPartition(topic, 1);
        try (var producer = Kafka.producer()) {
            for (long time : List.of(1_000L, 2_000L, 3_000L)) {
                producer.send(new ProducerRecord<>(topic, 0, time, null, "x")).get();
            }
        }
        try (var consumer = consumer()) {
            var found = consumer.offsetsForTimes(Map.of(partition, 1_500L, empty, 0L));
            Checks.equal(1L, found.get(partition).offset());
            Checks.equal(2_000L, found.get(partition).timestamp());
            Checks.equal(null, found.get(empty));
            Checks.equal(null, consumer.offsetsForTimes(Map.of(partition, 3_001L)).get(partition));
            Checks.equal(Map.of(partition, 3L, empty, 0L),
                    consumer.endOffsets(List.of(partition, empty)));
            Checks.equal(Map.of(partition, 0L), consumer.beginningOffsets(List.of(partition)));
        }
    }

    private void pauses() throws Exception {
        String topic = Kafka.topic(2);
        TopicPartition paused = new TopicPartition(topic, 0);
        TopicPartition other = new TopicPartition(topic, 1);
        try (var consumer = consumer()) {
            consumer.assign(List.of(paused, other));
            consumer.pause(List.of(paused));
            Checks.equal(Set.of(paused), consumer.paused());
            Kafka.fill(topic, 0, List.of("paused"));
            Kafka.fill(topic, 1, List.of("other"));
            Checks.equal(List.of("other"), Kafka.values(Kafka.take(consumer, 1)));
            Checks.equal(0, Kafka.poll(consumer).count());
            consumer.resume(List.of(paused));
            Checks.equal(List.of("paused"), Kafka.values(Kafka.take(consumer, 1)));
        }
    }

    private void resets() throws Exception {
        String topic = Kafka.topic(1);
        TopicPartition partition = new TopicPartition(topic, 0);
        long now = System.currentTimeMillis();
        try (var producer = Kafka.producer()) {
            producer.send(new ProducerRecord<>(topic, 0, now - 7_200_000, null, "old")).get();
            producer.send(new ProducerRecord<>(topic, 0, now, null, "new")).get();
        }
        Map<String, Long> starts = Map.of("earliest", 0L, "by_duration:PT1H", 1L, "latest", 2L);
        for (var start : starts.entrySet()) {
            try (var consumer = consumer("auto.offset.reset", start.getKey())) {
                consumer.assign(List.of(partition));
                Checks.equal(start.getValue(), consumer.position(partition));
            }
        }
        try (var consumer = consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(partition));
            Checks.fails(NoOffsetForPartitionException.class, () -> Kafka.take(consumer, 1));
        }
    }

    private void outOfRange() throws Exception {
        TopicPartition partition = filled(5);
        try (var consumer = consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1_000);
            Checks.fails(OffsetOutOfRangeException.class, () -> Kafka.take(consumer, 1));
        }
        try (var consumer = consumer("auto.offset.reset", "earliest")) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1_000);
            Checks.equal(Kafka.numbers(0, 5), Kafka.values(Kafka.take(consumer, 5)));
        }
    }

    private void positions() throws Exception {
        TopicPartition partition = filled(10);
        try (var consumer = consumer("max.poll.records", 4)) {
            consumer.assign(List.of(partition));
            Checks.until("some records", () -> Kafka.poll(consumer).count() > 0);
            Checks.equal(4L, consumer.position(partition));
            Checks.equal(6L, consumer.currentLag(partition).orElse(-1));
            Checks.equal(null, consumer.committed(Set.of(partition)).get(partition));
        }
    }

    private void bounds() throws Exception {
        String topic = Kafka.topic(1);
        List<String> values = Kafka.numbers(0, 30).stream().map(n -> n.repeat(2_000)).toList();
        Kafka.fill(topic, 0, values);
        try (var consumer = consumer("max.poll.records", 7, "fetch.max.bytes", 100,
                "max.partition.fetch.bytes", 100, "fetch.min.bytes", 50)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            List<ConsumerRecord<String, String>> all = new ArrayList<>();
            Checks.until("all records", () -> {
                var polled = Kafka.poll(consumer);
                Checks.that(polled.count() <= 7, "at most 7 records a poll");
                polled.forEach(all::add);
                return all.size() >= values.size();
            });
            Checks.equal(values, Kafka.values(all));
        }
    }

    private void commits() throws Exception {
        String topic = Kafka.topic(2);
        String group = Kafka.name("group");
        TopicPartition one = new TopicPartition(topic, 0);
        TopicPartition two = new TopicPartition(topic, 1);
        Kafka.fill(topic, 0, Kafka.numbers(0, 10));
        var wanted = Map.of(one, new OffsetAndMetadata(3, "a note"),
                two, new OffsetAndMetadata(0, ""));
        try (var consumer = consumer("group.id", group)) {
            consumer.assign(List.of(one, two));
            consumer.commitSync(wanted);
        }
        try (var consumer = consumer("group.id", group)) {
            Checks.equal(wanted, consumer.committed(Set.of(one, two)));
            consumer.assign(List.of(one));
            Checks.equal(Kafka.numbers(3, 10), Kafka.values(Kafka.take(consumer, 7)));
            consumer.commitSync(Duration.ofSeconds(10));
            Checks.equal(10L, consumer.committed(Set.of(one)).get(one).offset());
        }
    }

    private void commitsAsync() throws Exception {
        TopicPartition partition = filled(10);
        List<Object> answers = new ArrayList<>();
        try (var consumer = consumer()) {
            consumer.assign(List.of(partition));
            for (long offset = 1; offset <= 5; offset++) {
                consumer.commitAsync(Map.of(partition, new OffsetAndMetadata(offset)),
                        (offsets, failure) -> answers.add(
                                failure == null ? offsets.get(partition).offset() : failure));
            }
            Checks.until("five answers", () -> {
                Kafka.poll(consumer);
                return answers.size() == 5;
            });
            Checks.equal(List.of(1L, 2L, 3L, 4L, 5L), answers);
            Checks.equal(5L, consumer.committed(Set.of(partition)).get(partition).offset());
        }
    }

    private void autoCommit() throws Exception {
        TopicPartition partition = filled(10);
        String group = Kafka.name("group");
        Object[] settings = {"group.id", group, "enable.auto.commit", true,
            "auto.commit.interval.ms", 60_000};
        try (var consumer = consumer(settings)) {
            consumer.subscribe(List.of(partition.topic()));
            Kafka.take(consumer, 10);
        }
        try (var consumer = consumer(settings)) {
            Checks.equal(10L, consumer.committed(Set.of(partition)).get(partition).offset());
        }
    }

    private void wakeup() throws Exception {
        TopicPartition partition = filled(0);
        try (var consumer = consumer()) {
            consumer.assign(List.of(partition));
            new Thread(consumer::wakeup).start();
            Checks.fails(WakeupException.class, () -> consumer.poll(Duration.ofSeconds(40)));
            Kafka.poll(consumer);
        }
    }

    private void topics() throws Exception {
        String topic = Kafka.topic(3);
        String absent = Kafka.name("absent");
        try (var consumer = consumer("allow.auto.create.topics", false)) {
            Checks.equal(3, consumer.listTopics().get(topic).size());
            consumer.subscribe(List.of(absent));
            for (int polls = 0; polls < 5; polls++) {
                Kafka.poll(consumer);
            }
            Checks.equal(null, consumer.listTopics().get(absent));
        }
    }

    private void badName() throws Exception {
        try (var consumer = consumer()) {
            consumer.subscribe(List.of("not/a/name"));
            Checks.fails(InvalidTopicException.class, () -> Kafka.take(consumer, 1));
        }
    }

    private void deletedRecords() throws Exception {
        TopicPartition partition = filled(20);
        var before = org.apache.kafka.clients.admin.RecordsToDelete.beforeOffset(15);
        Kafka.admin.deleteRecords(Map.of(partition, before)).all().get();
        try (var consumer = consumer()) {
            consumer.assign(List.of(partition));
            Checks.equal(Kafka.numbers(15, 20), Kafka.values(Kafka.take(consumer, 5)));
            Checks.equal(15L, consumer.beginningOffsets(List.of(partition)).get(partition));
        }
    }

    private void madeAnew() throws Exception {
        TopicPartition partition = filled(5);
        try (var consumer = consumer("metadata.max.age.ms", 500)) {
            consumer.assign(List.of(partition));
            Kafka.take(consumer, 5);
            Kafka.admin.deleteTopics(List.of(partition.topic())).all().get();
            Kafka.create(partition.topic(), 1, Map.of());
            Kafka.fill(partition.topic(), 0, List.of("new"));
            Set<String> seen = new HashSet<>();
            Checks.until("the new record", () -> {
                Kafka.poll(consumer).forEach(record -> seen.add(record.value()));
                return seen.contains("new");
            });
            Checks.equal(Set.of("new"), seen);
        }
    }

    private void telemetry() throws Exception {
        try (var consumer = consumer("enable.metrics.push", true)) {
            consumer.assign(List.of(filled(0)));
            // The classic consumer talks with the broker only while it is polled.
            Checks.until("an id", () -> {
                Kafka.poll(consumer);
                return consumer.clientInstanceId(Duration.ofMillis(100)) != null;
            });
        }
    }

    private void brokerKilled() throws Exception {
        String topic = Kafka.topic(2);
        String group = Kafka.name("group");
        Kafka.fill(topic, 0, Kafka.numbers(0, 50));
        try (var consumer = consumer("group.id", group)) {
            consumer.subscribe(List.of(topic));
            Checks.equal(Kafka.numbers(0, 50), Kafka.values(Kafka.take(consumer, 50)));
            consumer.commitSync();
            Checks.broker("restart");
            Kafka.fill(topic, 0, Kafka.numbers(50, 60));
            Checks.equal(Kafka.numbers(50, 60), Kafka.values(Kafka.take(consumer, 10)));
            consumer.commitSync();
            TopicPartition partition = new TopicPartition(topic, 0);
            Checks.equal(60L, consumer.committed(Set.of(partition)).get(partition).offset());
        }
    }
}
