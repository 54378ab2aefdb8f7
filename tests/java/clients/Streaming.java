import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams: `Streaming <address>`. Words are counted by an application that keeps its state in
 * a store with a changelog, behind a repartition topic, exactly once. The application is a process
 * of its own: `Streaming run <address> <id> <input> <output> <store> <protocol>`.
 */
final class Streaming {
    private static final int RECORDS = 6_000;
    private static final int WORDS = 50;

    private Streaming() {}

    public static void main(String[] args) throws Exception {
        if (args[0].equals("run")) {
            application(args);
            return;
        }
        Kafka.connect(args[0]);
        Checks checks = new Checks();
        checks.add("counts are exact in memory, though the application is killed",
                () -> counts("memory", false));
        checks.add("counts are exact in RocksDB, though application and broker are killed",
                () -> counts("rocksdb", true));
        checks.add("the streams group protocol (KIP-1071)", Streaming::streamsProtocol);
        checks.runAndExit(1);
    }

    private static void application(String[] args) {
        String store = args[5];
        StreamsBuilder builder = new StreamsBuilder();
        var text = Serdes.String();
        var counts = store.equals("memory") ? Stores.inMemoryKeyValueStore("counts")
                : Stores.persistentKeyValueStore("counts");
        builder.stream(args[3], Consumed.with(text, text))
                // The word is the value: so records change partitions on the way.
                .map((key, word) -> KeyValue.pair(word, key))
                .groupByKey(Grouped.with(text, text))
                .count(Materialized.<String, Long>as(counts).withKeySerde(text)
                        .withValueSerde(Serdes.Long()).withLoggingEnabled(Map.of()))
                .toStream()
                .mapValues(count -> Long.toString(count))
                .to(args[4], Produced.with(text, text));
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[1]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.STATE_DIR_CONFIG, Path.of(args[2]).toAbsolutePath().toString());
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        config.put("group.protocol", args[6]);
        config.put("auto.offset.reset", "earliest");
        config.put("max.poll.records", 50);
        if (args[6].equals("classic")) {
            config.put("session.timeout.ms", 6_000);
            config.put("heartbeat.interval.ms", 500);
        }
        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        streams.setUncaughtExceptionHandler(thrown -> {
            thrown.printStackTrace();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler
                    .StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        Runtime.getRuntime().addShutdownHook(
                new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
    }

    private static Child start(String id, String input, String output, String store,
            String protocol) throws Exception {
        return Child.start("Streaming", "run", Kafka.server, id, input, output, store, protocol);
    }

    private static void fill(String topic, int from, int to) throws Exception {
        try (var producer = Kafka.producer()) {
            for (int at = from; at < to; at++) {
                producer.send(new ProducerRecord<>(topic, "key " + at, "word " + at % WORDS));
            }
        }
    }

    private static long seen(String output) throws Exception {
        return Kafka.admin.listOffsets(Map.of(new org.apache.kafka.common.TopicPartition(output, 0),
                org.apache.kafka.clients.admin.OffsetSpec.latest())).all().get()
                .values().iterator().next().offset();
    }

    private static void counts(String store, boolean killBroker) throws Exception {
        String input = Kafka.topic(3);
        String output = Kafka.topic(1);
        String id = Kafka.name("streams-" + store);
        fill(input, 0, RECORDS / 2);
        try (Child first = start(id, input, output, store, "classic")) {
            Checks.until("a start", () -> {
                Checks.that(first.runs(), "it runs: " + first.printed());
                return seen(output) > 300;
            });
            first.kill();
        }
        try (Child second = start(id, input, output, store, "classic")) {
            fill(input, RECORDS / 2, RECORDS);
            if (killBroker) {
                long before = seen(output);
                Checks.until("it goes on: " + second.printed(), () -> seen(output) > before);
                Checks.broker("restart");
            }
            try {
                check(output);
            } catch (Checks.Broken broken) {
                throw new Checks.Broken(broken.getMessage() + "; it printed: " + second.printed());
            }
            second.stop();
        }
        // The clean end committed nothing more.
        check(output);
    }

    /** Each word's counts are 1, 2, 3 and so on, for each is told on and committed exactly once. */
    private static void check(String output) throws Exception {
        Map<String, Long> last = new HashMap<>();
        long wanted = RECORDS / WORDS;
        Checks.until("all words are counted", () -> {
            last.clear();
            for (ConsumerRecord<String, String> record : Kafka.readAll(output, "read_committed")) {
                long count = Long.parseLong(record.value());
                Checks.equal(last.getOrDefault(record.key(), 0L) + 1, count);
                last.put(record.key(), count);
            }
            return last.size() == WORDS && new HashSet<>(last.values()).equals(java.util.Set.of(wanted));
        });
    }

    private static void streamsProtocol() throws Exception {
        String input = Kafka.topic(1);
        String output = Kafka.topic(1);
        fill(input, 0, 1);
        try (Child application = start(Kafka.name("streams"), input, output, "memory", "streams")) {
            Checks.until("the first count", () -> {
                Checks.that(application.runs() && !application.printed().contains(
                        "UnsupportedVersionException"), application.printed());
                return !Kafka.committed(output).isEmpty();
            });
        }
    }
}
