import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Kafka Connect against a broker: `Connect <address>`. A file becomes a topic becomes a file. */
final class Connect {
    private static final String CLI = "org.apache.kafka.connect.cli.";
    private static final int LINES = 3_000;

    private final Path folder;
    private final Path source;
    private final Path sink;
    private final String topic = Kafka.name("connect");
    private final int port;

    private Connect() throws Exception {
        folder = Files.createTempDirectory(Path.of("."), "connect").toAbsolutePath();
        source = Files.createFile(folder.resolve("source.txt"));
        sink = folder.resolve("sink.txt");
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
    }

    public static void main(String[] args) throws Exception {
        Kafka.connect(args[0]);
        Checks checks = new Checks();
        checks.add("standalone: every line arrives, though the worker is killed",
                () -> new Connect().standalone());
        checks.add("standalone: after a good stop every line arrives once",
                () -> new Connect().standaloneStopped());
        checks.add("distributed: every line is in the topic once, though the worker is killed",
                () -> new Connect().distributed());
        checks.runAndExit(1);
    }

    private void write(int from, int to) throws Exception {
        Files.write(source, Kafka.numbers(from, to), StandardOpenOption.APPEND);
    }

    private List<String> arrived() throws Exception {
        return Files.exists(sink) ? Files.readAllLines(sink) : List.of();
    }

    private void untilArrived(Child worker, int lines) throws Exception {
        HashSet<String> wanted = new HashSet<>(Kafka.numbers(0, lines));
        Checks.until("lines up to " + lines + " of " + worker, () -> {
            Checks.that(worker.runs(), "the worker runs: " + worker.printed());
            return new HashSet<>(arrived()).containsAll(wanted);
        });
    }

    private String properties(String name, Map<String, String> settings) throws Exception {
        StringBuilder text = new StringBuilder();
        new TreeMap<>(settings).forEach((key, value) ->
                text.append(key).append('=').append(value).append('\n'));
        return Files.writeString(folder.resolve(name), text).toString();
    }

    private Map<String, String> worker(Map<String, String> more) {
        Map<String, String> settings = new HashMap<>(Map.of(
                "bootstrap.servers", Kafka.server,
                "listeners", "http://127.0.0.1:" + port,
                "key.converter", "org.apache.kafka.connect.storage.StringConverter",
                "value.converter", "org.apache.kafka.connect.storage.StringConverter",
                "plugin.discovery", "service_load",
                "offset.flush.interval.ms", "300"));
        settings.putAll(more);
        return settings;
    }

    private Map<String, String> sourceConnector() {
        // The connector keeps what exceeds a batch until the file grows: so nothing exceeds it.
        return Map.of("name", "source-" + topic, "connector.class", "FileStreamSource",
                "tasks.max", "1", "file", source.toString(), "topic", topic, "batch.size", "100000");
    }

    private Map<String, String> sinkConnector() {
        return Map.of("name", "sink-" + topic, "connector.class", "FileStreamSink", "tasks.max", "1",
                "file", sink.toString(), "topics", topic,
                "consumer.override.auto.offset.reset", "earliest",
                "consumer.override.isolation.level", "read_committed",
                "consumer.override.session.timeout.ms", "6000",
                "consumer.override.heartbeat.interval.ms", "1000");
    }

    private Child startStandalone() throws Exception {
        Map<String, String> own = worker(Map.of(
                "offset.storage.file.filename", folder.resolve("offsets").toString()));
        return Child.start(CLI + "ConnectStandalone", properties("worker.properties", own),
                properties("source.properties", sourceConnector()),
                properties("sink.properties", sinkConnector()));
    }

    private void standalone() throws Exception {
        write(0, LINES);
        try (Child worker = startStandalone()) {
            // Killed in the middle, or at least not after a good end.
            Checks.until("some lines", () -> !arrived().isEmpty());
            worker.kill();
        }
        write(LINES, 2 * LINES);
        try (Child worker = startStandalone()) {
            untilArrived(worker, 2 * LINES);
        }
    }

    private void standaloneStopped() throws Exception {
        write(0, LINES);
        try (Child worker = startStandalone()) {
            untilArrived(worker, LINES);
            worker.stop();
        }
        write(LINES, 2 * LINES);
        try (Child worker = startStandalone()) {
            untilArrived(worker, 2 * LINES);
            worker.stop();
        }
        Checks.equal(Kafka.numbers(0, 2 * LINES), arrived());
        Checks.equal(Kafka.numbers(0, 2 * LINES), Kafka.committed(topic));
    }

    private Child startDistributed() throws Exception {
        Map<String, String> own = worker(Map.of("group.id", topic,
                "exactly.once.source.support", "enabled",
                "offset.storage.topic", topic + "-offsets", "offset.storage.partitions", "2",
                "offset.storage.replication.factor", "1",
                "config.storage.topic", topic + "-configs",
                "config.storage.replication.factor", "1",
                "status.storage.topic", topic + "-status", "status.storage.partitions", "1",
                "status.storage.replication.factor", "1"));
        own.put("session.timeout.ms", "6000");
        own.put("heartbeat.interval.ms", "1000");
        return Child.start(CLI + "ConnectDistributed", properties("worker.properties", own));
    }

    /** Asks the worker; the answer's status, or 0 when it does not answer yet. */
    private int request(String method, String path, Map<String, String> body) throws Exception {
        StringBuilder json = new StringBuilder("{");
        body.forEach((key, value) -> json.append(json.length() > 1 ? "," : "")
                .append('"').append(key).append("\":\"").append(value).append('"'));
        HttpRequest request = HttpRequest.newBuilder()
                .uri(URI.create("http://127.0.0.1:" + port + path))
                .header("Content-Type", "application/json")
                .method(method, HttpRequest.BodyPublishers.ofString(json.append('}').toString()))
                .build();
        try {
            return HttpClient.newHttpClient().send(request,
                    HttpResponse.BodyHandlers.ofString()).statusCode();
        } catch (java.net.ConnectException e) {
            return 0;
        }
    }

    private void configure(Child worker, Map<String, String> connector) throws Exception {
        String path = "/connectors/" + connector.get("name") + "/config";
        Checks.until("a connector of " + topic, () -> {
            Checks.that(worker.runs(), "the worker runs: " + worker.printed());
            int status = request("PUT", path, connector);
            return status == 200 || status == 201;
        });
    }

    private void distributed() throws Exception {
        write(0, LINES);
        try (Child worker = startDistributed()) {
            configure(worker, sourceConnector());
            configure(worker, sinkConnector());
            Checks.until("some lines", () -> !arrived().isEmpty());
            worker.kill();
        }
        write(LINES, 2 * LINES);
        try (Child worker = startDistributed()) {
            untilArrived(worker, 2 * LINES);
        }
        Checks.equal(Kafka.numbers(0, 2 * LINES), Kafka.committed(topic));
    }
}
