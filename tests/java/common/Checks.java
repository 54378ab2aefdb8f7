import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Named checks, each one promise to a user of a client. What each did is one JSON object a line on
 * standard output, which the Rust side of the test reads; everything else is the clients' own words.
 */
final class Checks {
    /** One promise. It holds when this returns. */
    interface Check {
        void run() throws Exception;
    }

    /** What does not hold. */
    static final class Broken extends Exception {
        Broken(String text) {
            super(text);
        }
    }

    /** How long one check may take: long enough for a busy machine, where virtual machines start slowly. */
    private static final Duration DEADLINE = Duration.ofMinutes(8);

    /** Kept, because a program under test may put something else into its place. */
    private static final PrintStream OUT = System.out;
    private static final BufferedReader IN =
            new BufferedReader(new InputStreamReader(System.in));

    private final String only = System.getProperty("only", "");
    private final Map<String, Check> together = new LinkedHashMap<>();
    private final Map<String, Check> alone = new LinkedHashMap<>();

    /** A check that runs beside others. */
    void add(String name, Check check) {
        put(together, name, check);
    }

    /** A check that has the broker for itself, because it restarts it. */
    void addAlone(String name, Check check) {
        put(alone, name, check);
    }

    private void put(Map<String, Check> where, String name, Check check) {
        if (together.containsKey(name) || alone.containsKey(name)) {
            throw new IllegalArgumentException("two checks are called " + name);
        }
        if (name.contains(only)) {
            where.put(name, check);
        }
    }

    /** Runs all checks, so many at a time, and ends the program. */
    void runAndExit(int threads) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        List<Future<?>> running = new ArrayList<>();
        together.forEach((name, check) -> running.add(pool.submit(() -> report(name, check))));
        for (Future<?> one : running) {
            one.get();
        }
        alone.forEach(Checks::report);
        event("end", Map.of());
        // Threads of a check that hangs must not keep the program.
        Runtime.getRuntime().halt(0);
    }

    private static void report(String name, Check check) {
        FutureTask<Void> task = new FutureTask<>(() -> {
            check.run();
            return null;
        });
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        long begun = System.nanoTime();
        thread.start();
        String failure = null;
        try {
            task.get(DEADLINE.toSeconds(), TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            failure = "hangs at " + Arrays.toString(thread.getStackTrace());
            thread.interrupt();
        } catch (ExecutionException e) {
            failure = describe(e.getCause());
        } catch (InterruptedException e) {
            failure = "interrupted";
        }
        long took = Duration.ofNanos(System.nanoTime() - begun).toMillis();
        Map<String, String> fields = new LinkedHashMap<>();
        fields.put("name", name);
        fields.put("failed", failure);
        fields.put("ms", Long.toString(took));
        event("test", fields);
    }

    private static String describe(Throwable thrown) {
        StringBuilder text = new StringBuilder(thrown.toString());
        for (Throwable cause = thrown.getCause(); cause != null; cause = cause.getCause()) {
            text.append(" / because of ").append(cause);
        }
        for (StackTraceElement at : thrown.getStackTrace()) {
            boolean ours = at.getClassName().indexOf('.') < 0;
            if (ours && !at.getClassName().startsWith("Checks")) {
                text.append(" (").append(at).append(')');
                break;
            }
        }
        return text.toString();
    }

    /** Has the Rust side do something to the broker ("restart", "kill", "start"), and waits for it. */
    static synchronized void broker(String what) throws Exception {
        event("broker", Map.of("do", what));
        equal("done", IN.readLine());
    }

    /** Prints an event. */
    static void event(String kind, Map<String, String> fields) {
        StringBuilder line = new StringBuilder("{\"event\":").append(quoted(kind));
        fields.forEach((name, value) ->
                line.append(',').append(quoted(name)).append(':').append(quoted(value)));
        synchronized (OUT) {
            OUT.println(line.append('}'));
            OUT.flush();
        }
    }

    private static String quoted(String text) {
        if (text == null) {
            return "null";
        }
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }

    static void that(boolean holds, String what) throws Broken {
        if (!holds) {
            throw new Broken("not so: " + what);
        }
    }

    static void equal(Object wanted, Object seen) throws Broken {
        boolean same = wanted instanceof byte[] a && seen instanceof byte[] b
                ? Arrays.equals(a, b) : Objects.equals(wanted, seen);
        if (!same && wanted instanceof List<?> a && seen instanceof List<?> b) {
            int at = 0;
            while (at < Math.min(a.size(), b.size()) && Objects.equals(a.get(at), b.get(at))) {
                at++;
            }
            throw new Broken("wanted " + a.size() + ", saw " + b.size() + "; from " + at + " on: wanted "
                    + shown(a.subList(at, a.size())) + ", saw " + shown(b.subList(at, b.size())));
        }
        if (!same) {
            throw new Broken("wanted " + shown(wanted) + ", saw " + shown(seen));
        }
    }

    private static String shown(Object what) {
        String text = what instanceof byte[] bytes ? Arrays.toString(bytes) : String.valueOf(what);
        return text.length() > 300 ? text.substring(0, 300) + "..." : text;
    }

    /** Asserts that this fails with such an exception, itself or as the cause; returns it. */
    static <T extends Throwable> T fails(Class<T> wanted, Callable<?> action) throws Broken {
        Object result;
        try {
            result = action.call();
        } catch (Throwable thrown) {
            for (Throwable at = thrown; at != null; at = at.getCause()) {
                if (wanted.isInstance(at)) {
                    return wanted.cast(at);
                }
            }
            throw new Broken("wanted " + wanted.getSimpleName() + ", failed with " + describe(thrown));
        }
        throw new Broken("wanted " + wanted.getSimpleName() + ", succeeded with " + shown(result));
    }

    /** Waits until this holds; the question itself takes its time, as a poll or a request does. */
    static void until(String what, Callable<Boolean> holds) throws Exception {
        long deadline = System.nanoTime() + Duration.ofSeconds(120).toNanos();
        while (!holds.call()) {
            that(System.nanoTime() < deadline, what + ", within 120 s");
            Thread.sleep(20); // poll: for what the caller names, bounded by the deadline
        }
    }
}
