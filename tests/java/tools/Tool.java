import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/** A tool of Kafka's, run in this program as its script in `bin/` runs it. One at a time. */
final class Tool {
    /** How a tool ends: it exits, which is not to end this program. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1;
        final int status;

        Ended(int status, String text) {
            super(text);
            this.status = status;
        }
    }

    private static final String TOOLS = "org.apache.kafka.tools.";
    private static final ByteArrayOutputStream PRINTED = new ByteArrayOutputStream();
    private static final List<Runnable> HOOKS = new ArrayList<>();

    /** Some tools catch everything, even their own exit: the first one counts. */
    private static Ended ended;

    private Tool() {}

    static void prepare() {
        Exit.Procedure end = (status, text) -> {
            Ended now = new Ended(status, text);
            ended = ended == null ? now : ended;
            throw now;
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        PrintStream to = new PrintStream(PRINTED, true, StandardCharsets.UTF_8);
        System.setOut(to);
        System.setErr(to);
    }

    /** Runs a tool that is told of the broker by `--bootstrap-server`; returns what it printed. */
    static String run(String tool, String... args) throws Exception {
        return printed(tool, "", with("--bootstrap-server", args));
    }

    /** The same with a standard input. */
    static String fed(String input, String tool, String... args) throws Exception {
        return printed(tool, input, with("--bootstrap-server", args));
    }

    private static String[] with(String option, String... args) {
        List<String> all = new ArrayList<>(List.of(option, Kafka.server));
        all.addAll(Arrays.asList(args));
        return all.toArray(new String[0]);
    }

    /** Runs a tool with exactly these arguments; a bad end is an error that says what it printed. */
    static String printed(String tool, String input, String... args) throws Exception {
        String name = tool.startsWith("kafka.") ? tool : TOOLS + tool;
        InputStream before = System.in;
        PRINTED.reset();
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        ended = null;
        HOOKS.clear();
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (ended == null) {
                throw new Checks.Broken(e.getCause() + "\n" + PRINTED);
            }
        } finally {
            System.setIn(before);
        }
        HOOKS.forEach(Runnable::run);
        String text = PRINTED.toString(StandardCharsets.UTF_8);
        if (ended != null && ended.status != 0) {
            throw new Checks.Broken("status " + ended.status + ", " + ended.getMessage() + ": " + text);
        }
        return text;
    }

    static void prints(String wanted, String printed) throws Exception {
        Checks.that(printed.contains(wanted), "'" + wanted + "' in: " + printed);
    }

    /** A file with this text. */
    static String file(String text) throws Exception {
        Path file = Files.createTempFile(Path.of("."), "tool", ".txt");
        Files.writeString(file, text);
        return file.toString();
    }
}
