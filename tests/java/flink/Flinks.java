import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Flink against a broker: `Flinks <address>`. Words from one topic are counted into another,
 * exactly once, by a job that is a process of its own, keeps checkpoints and is killed:
 * `Flinks run <address> <input> <output> <checkpoints> <group> <true when it fails once by itself>`.
 */
final class Flinks {
    private static final int RECORDS = 6_000;
    private static final int WORDS = 50;

    private Flinks() {}

    public static void main(String[] args) throws Exception {
        if (args[0].equals("run")) {
            job(args);
            return;
        }
        Kafka.connect(args[0]);
        Checks checks = new Checks();
        checks.add("counts are exact, though the job fails and is restarted from its checkpoint",
                () -> counts(true, false));
        checks.add("counts are exact, though job and broker are killed", () -> counts(false, true));
        checks.add("a bounded read ends at the topic's end", Flinks::bounded);
        checks.runAndExit(1);
    }

    /** Counts each word; fails once on the way if told to. */
    private static final class Count extends KeyedProcessFunction<String, String, String> {
        private static final long serialVersionUID = 1;
        private final boolean fails;
        private transient ValueState<Long> count;

        Count(boolean fails) {
            this.fails = fails;
        }

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Long.class));
        }

        @Override
        public void processElement(String word, Context context, Collector<String> out)
                throws Exception {
            long now = count.value() == null ? 1 : count.value() + 1;
            if (fails && now == 30 && getRuntimeContext().getTaskInfo().getAttemptNumber() == 0) {
                throw new IllegalStateException("fails once, as told");
            }
            count.update(now);
            out.collect(word + "=" + now);
        }
    }

    private static StreamExecutionEnvironment environment(Map<String, String> more) {
        Map<String, String> settings = new HashMap<>(Map.of(
                "rest.bind-port", "0", "rest.address", "127.0.0.1", "rest.bind-address", "127.0.0.1",
                "jobmanager.rpc.address", "127.0.0.1", "taskmanager.host", "127.0.0.1"));
        settings.putAll(more);
        return StreamExecutionEnvironment.createLocalEnvironment(2,
                Configuration.fromMap(settings));
    }

    private static KafkaSource<String> source(String server, String topic, String group) {
        return KafkaSource.<String>builder().setBootstrapServers(server).setTopics(topic)
                .setGroupId(group).setStartingOffsets(OffsetsInitializer.earliest())
                .setProperty("partition.discovery.interval.ms", "1000")
                .setProperty("max.poll.records", "50")
                .setValueOnlyDeserializer(new SimpleStringSchema()).build();
    }

    private static void job(String[] args) throws Exception {
        Map<String, String> settings = new HashMap<>(Map.of(
                "execution.checkpointing.interval", "300 ms",
                "execution.checkpointing.mode", "EXACTLY_ONCE",
                "execution.checkpointing.dir", Path.of(args[4]).toUri().toString(),
                "execution.checkpointing.externalized-checkpoint-retention",
                "RETAIN_ON_CANCELLATION",
                "restart-strategy.type", "fixed-delay",
                "restart-strategy.fixed-delay.attempts", "1000",
                "restart-strategy.fixed-delay.delay", "300 ms"));
        latest(Path.of(args[4])).ifPresent(checkpoint ->
                settings.put("execution.state-recovery.path", checkpoint.toUri().toString()));
        StreamExecutionEnvironment environment = environment(settings);
        Properties producer = new Properties();
        producer.put("transaction.timeout.ms", "60000");
        producer.put("delivery.timeout.ms", "30000");
        producer.put("request.timeout.ms", "10000");
        KafkaSink<String> sink = KafkaSink.<String>builder().setBootstrapServers(args[1])
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(args[5]).setKafkaProducerConfig(producer)
                .setRecordSerializer(KafkaRecordSerializationSchema.builder().setTopic(args[3])
                        .setValueSerializationSchema(new SimpleStringSchema()).build())
                .build();
        environment.fromSource(source(args[1], args[2], args[5]), WatermarkStrategy.noWatermarks(),
                        "words")
                .keyBy(word -> word).process(new Count(Boolean.parseBoolean(args[6]))).sinkTo(sink);
        environment.execute("counts");
    }

    /** The newest complete checkpoint of whatever job wrote into this folder. */
    private static Optional<Path> latest(Path folder) throws Exception {
        if (!Files.exists(folder)) {
            return Optional.empty();
        }
        try (var found = Files.walk(folder)) {
            return found.filter(path -> path.endsWith("_metadata")).map(Path::getParent)
                    .max(Comparator.comparing(path -> path.resolve("_metadata").toFile()
                            .lastModified()));
        }
    }

    private static Child start(String input, String output, Path checkpoints, String group,
            boolean fails) throws Exception {
        return Child.start("Flinks", "run", Kafka.server, input, output, checkpoints.toString(),
                group, Boolean.toString(fails));
    }

    private static void fill(String topic, int from, int to) throws Exception {
        try (var producer = Kafka.producer()) {
            for (int at = from; at < to; at++) {
                producer.send(new ProducerRecord<>(topic, "key " + at, "word " + at % WORDS));
            }
        }
    }

    private static void untilRead(Child job, String output, int count) throws Exception {
        Checks.until(count + " committed results", () -> {
            Checks.that(job.runs(), "the job runs: " + job.printed());
            return Kafka.committed(output).size() >= count;
        });
    }

    private static void counts(boolean fails, boolean kills) throws Exception {
        String input = Kafka.topic(3);
        String output = Kafka.topic(1);
        String group = Kafka.name("flink");
        Path checkpoints = Files.createTempDirectory(Path.of("."), "flink").toAbsolutePath();
        fill(input, 0, RECORDS / 2);
        if (kills) {
            try (Child first = start(input, output, checkpoints, group, false)) {
                untilRead(first, output, 100);
                fill(input, RECORDS / 2, RECORDS);
                first.kill();
            }
        } else {
            fill(input, RECORDS / 2, RECORDS);
        }
        try (Child job = start(input, output, checkpoints, group, fails)) {
            if (kills) {
                untilRead(job, output, 101);
                Checks.broker("restart");
            }
            untilRead(job, output, RECORDS);
        }
        check(output);
    }

    /** Each word's counts are 1, 2, 3 and so on: nothing is lost, and nothing comes twice. */
    private static void check(String output) throws Exception {
        Map<String, Long> last = new HashMap<>();
        for (String result : Kafka.committed(output)) {
            String word = result.substring(0, result.indexOf('='));
            long count = Long.parseLong(result.substring(result.indexOf('=') + 1));
            Checks.equal(word + "=" + (last.getOrDefault(word, 0L) + 1), result);
            last.put(word, count);
        }
        Checks.equal(WORDS, last.size());
        Checks.equal(Set.of((long) RECORDS / WORDS), Set.copyOf(last.values()));
    }

    private static void bounded() throws Exception {
        String topic = Kafka.topic(2);
        fill(topic, 0, 500);
        KafkaSource<String> source = KafkaSource.<String>builder()
                .setBootstrapServers(Kafka.server).setTopics(topic)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.latest())
                .setValueOnlyDeserializer(new SimpleStringSchema()).build();
        try (var results = environment(Map.of()).fromSource(source,
                WatermarkStrategy.noWatermarks(), "words").executeAndCollect()) {
            int read = 0;
            while (results.hasNext()) {
                results.next();
                read++;
            }
            Checks.equal(500, read);
        }
    }
}
