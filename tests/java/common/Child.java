import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A program in a virtual machine of its own, which can be killed. It ends with this one at the
 * latest: its standard input is a leash.
 */
final class Child implements AutoCloseable {
    private final Process process;
    private final Path printed;

    private Child(Process process, Path printed) {
        this.process = process;
        this.printed = printed;
    }

    static Child start(String main, String... args) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-Dlog4j2.level=WARN", "-cp",
                System.getProperty("java.class.path"), "Child", main));
        command.addAll(List.of(args));
        Path printed = Files.createTempFile(Path.of("."), "child", ".log");
        Process process = new ProcessBuilder(command).redirectErrorStream(true)
                .redirectOutput(printed.toFile()).start();
        return new Child(process, printed);
    }

    /** What it printed so far. */
    String printed() throws IOException {
        return Files.readString(printed, StandardCharsets.UTF_8);
    }

    boolean runs() {
        return process.isAlive();
    }

    /** SIGKILL: it cannot even close its connections. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** SIGTERM, as an operator does; waits for the end. */
    void stop() throws Exception {
        // Not `process.destroy()`, which lets go of the leash too.
        process.toHandle().destroy();
        await();
    }

    /** Waits for its end and returns all that it printed. */
    String await() throws Exception {
        boolean ended = process.waitFor(60, TimeUnit.SECONDS);
        Checks.that(ended, "it ended; it printed: " + printed());
        return printed();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }

    /** Runs another program's `main` until that ends or the standard input does. */
    public static void main(String[] args) throws Exception {
        Thread leash = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (IOException e) {
                System.err.println(e);
            }
            Runtime.getRuntime().halt(1);
        });
        leash.setDaemon(true);
        leash.start();
        String[] rest = java.util.Arrays.copyOfRange(args, 1, args.length);
        Class.forName(args[0]).getMethod("main", String[].class).invoke(null, (Object) rest);
    }
}
