import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.Trigger;

/**
 * Spark against a broker: `Sparks <address>`. Words from one topic are counted into another by a
 * structured stream that is a process of its own, keeps a checkpoint and is killed:
 * `Sparks run <address> <input> <output> <checkpoint>`.
 */
final class Sparks {
    private static final int RECORDS = 2_000;
    private static final int WORDS = 50;

    private static SparkSession session;

    private Sparks() {}

    public static void main(String[] args) throws Exception {
        if (args[0].equals("run")) {
            stream(args);
            return;
        }
        Kafka.connect(args[0]);
        Checks checks = new Checks();
        checks.add("a stream's counts are whole, though it and the broker are killed",
                Sparks::counts);
        checks.add("a batch reads whole topics, with headers and keys", Sparks::batch);
        checks.add("a batch reads from a time on, and between offsets", Sparks::ranges);
        checks.add("a batch writes keys, values and headers", Sparks::writes);
        checks.add("committed records are read, aborted ones are not", Sparks::committed);
        checks.runAndExit(1);
    }

    private static SparkSession spark() {
        return SparkSession.builder().master("local[2]").appName("tests")
                .config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.driver.host", "127.0.0.1").getOrCreate();
    }

    /** One for all batches. */
    private static synchronized SparkSession shared() {
        session = session == null ? spark() : session;
        return session;
    }

    private static void stream(String[] args) throws Exception {
        Dataset<Row> words = spark().readStream().format("kafka")
                .option("kafka.bootstrap.servers", args[1]).option("subscribe", args[2])
                .option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", "500")
                .load().selectExpr("CAST(value AS STRING) AS word");
        words.groupBy("word").count()
                .selectExpr("word AS key", "CAST(count AS STRING) AS value")
                .writeStream().outputMode("update").format("kafka")
                .option("kafka.bootstrap.servers", args[1]).option("topic", args[3])
                .option("checkpointLocation", args[4])
                .trigger(Trigger.ProcessingTime("200 milliseconds"))
                .start().awaitTermination();
    }

    private static Child start(String input, String output, Path checkpoint) throws Exception {
        return Child.start("Sparks", "run", Kafka.server, input, output, checkpoint.toString());
    }

    private static void fill(String topic, int from, int to) throws Exception {
        try (var producer = Kafka.producer()) {
            for (int at = from; at < to; at++) {
                producer.send(new ProducerRecord<>(topic, "key " + at, "word " + at % WORDS));
            }
        }
    }

    /** The largest count of each word: the sink may repeat a batch, but never counts one twice. */
    private static Map<String, Long> counted(String output) throws Exception {
        Map<String, Long> largest = new HashMap<>();
        for (var record : Kafka.readAll(output, "read_committed")) {
            largest.merge(record.key(), Long.parseLong(record.value()), Math::max);
        }
        return largest;
    }

    /** How many records are counted, as long as the stream runs. */
    private static long total(Child stream, String output) throws Exception {
        Checks.that(stream.runs(), "the stream runs: " + stream.printed());
        return counted(output).values().stream().mapToLong(Long::longValue).sum();
    }

    private static void untilCounted(Child stream, String output, long records) throws Exception {
        long before = total(stream, output);
        // Apart, because a stream takes its time to begin.
        Checks.until("some of " + records + " records are counted",
                () -> total(stream, output) >= Math.min(records, before + 1));
        Checks.until(records + " records are counted", () -> total(stream, output) >= records);
    }

    private static void counts() throws Exception {
        String input = Kafka.topic(3);
        String output = Kafka.topic(1);
        Path checkpoint = Files.createTempDirectory(Path.of("."), "spark").toAbsolutePath();
        fill(input, 0, RECORDS / 2);
        try (Child first = start(input, output, checkpoint)) {
            untilCounted(first, output, 400);
            first.kill();
        }
        try (Child second = start(input, output, checkpoint)) {
            untilCounted(second, output, RECORDS / 2);
            Checks.broker("restart");
            fill(input, RECORDS / 2, RECORDS);
            untilCounted(second, output, RECORDS);
        }
        Map<String, Long> wanted = new HashMap<>();
        for (int word = 0; word < WORDS; word++) {
            wanted.put("word " + word, (long) RECORDS / WORDS);
        }
        Checks.equal(wanted, counted(output));
    }

    private static Dataset<Row> read(String topic, String... options) {
        var reader = shared().read().format("kafka")
                .option("kafka.bootstrap.servers", Kafka.server).option("subscribe", topic);
        for (int at = 0; at < options.length; at += 2) {
            reader = reader.option(options[at], options[at + 1]);
        }
        return reader.load();
    }

    private static List<String> values(Dataset<Row> rows) {
        return rows.selectExpr("CAST(value AS STRING)").collectAsList().stream()
                .map(row -> row.getString(0)).toList();
    }

    private static void batch() throws Exception {
        String topic = Kafka.topic(2);
        try (var producer = Kafka.producer("compression.type", "zstd")) {
            for (String value : Kafka.numbers(0, 100)) {
                ProducerRecord<String, String> record = new ProducerRecord<>(topic, "k" + value, value);
                record.headers().add("h", Kafka.bytes(value));
                producer.send(record);
            }
        }
        Dataset<Row> rows = read(topic, "includeHeaders", "true");
        Checks.equal(100L, rows.count());
        Checks.equal(100L, rows.where("CAST(key AS STRING) = concat('k', CAST(value AS STRING))"
                + " AND CAST(headers[0].value AS STRING) = CAST(value AS STRING)").count());
    }

    private static void ranges() throws Exception {
        String topic = Kafka.topic(1);
        try (var producer = Kafka.producer()) {
            for (long at = 0; at < 10; at++) {
                producer.send(new ProducerRecord<>(topic, 0, at * 1_000, null, Long.toString(at)));
            }
        }
        Checks.equal(Kafka.numbers(6, 10), values(read(topic, "startingTimestamp", "5500")));
        Checks.equal(Kafka.numbers(0, 3), values(read(topic, "endingTimestamp", "3000")));
        Checks.equal(Kafka.numbers(2, 5), values(read(topic,
                "startingOffsets", "{\"" + topic + "\":{\"0\":2}}",
                "endingOffsets", "{\"" + topic + "\":{\"0\":5}}")));
    }

    private static void writes() throws Exception {
        String topic = Kafka.topic(1);
        shared().range(0, 50).selectExpr("CAST(id AS STRING) AS key",
                "concat('value ', CAST(id AS STRING)) AS value",
                "array(named_struct('key', 'h', 'value', CAST('x' AS BINARY))) AS headers")
                .write().format("kafka").option("kafka.bootstrap.servers", Kafka.server)
                .option("includeHeaders", "true").option("topic", topic).save();
        var records = Kafka.readAll(topic, "read_committed");
        Checks.equal(50, records.size());
        for (var record : records) {
            Checks.equal("value " + record.key(), record.value());
            Checks.equal(Kafka.bytes("x"), record.headers().lastHeader("h").value());
        }
    }

    private static void committed() throws Exception {
        String topic = Kafka.topic(1);
        try (var producer = Kafka.producer("transactional.id", Kafka.name("id"))) {
            producer.initTransactions();
            for (String value : List.of("committed", "aborted", "after")) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, value)).get();
                if (value.equals("aborted")) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
        Checks.equal(List.of("committed", "after"),
                values(read(topic, "kafka.isolation.level", "read_committed")));
    }
}
