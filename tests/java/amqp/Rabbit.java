import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.ShutdownSignalException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** What the checks of RabbitMQ's Java client share: connections to the broker, queues of their own, deliveries. */
final class Rabbit {
    /** How long an answer or a delivery may take on a busy machine. */
    private static final long PATIENCE_S = 120;

    private static final AtomicInteger NEXT = new AtomicInteger();

    static ConnectionFactory factory;

    private Rabbit() {}

    /** Takes `host:port`. */
    static void at(String address) {
        int colon = address.lastIndexOf(':');
        factory = new ConnectionFactory();
        factory.setHost(address.substring(0, colon));
        factory.setPort(Integer.parseInt(address.substring(colon + 1)));
        factory.setNetworkRecoveryInterval(200);
    }

    static Connection connect() throws Exception {
        return factory.newConnection(name("connection"));
    }

    /** A name that no other check uses. */
    static String name(String stem) {
        return stem + "-" + NEXT.incrementAndGet();
    }

    /** A durable queue with arguments: name, value, name, value... */
    static String queue(Channel channel, Object... arguments) throws Exception {
        String name = name("queue");
        channel.queueDeclare(name, true, false, false, map(arguments));
        return name;
    }

    static String exchange(Channel channel, String type, Object... arguments) throws Exception {
        String name = name("exchange");
        channel.exchangeDeclare(name, type, false, false, map(arguments));
        return name;
    }

    static Map<String, Object> map(Object... pairs) {
        Map<String, Object> map = new HashMap<>();
        for (int at = 0; at < pairs.length; at += 2) {
            map.put((String) pairs[at], pairs[at + 1]);
        }
        return map;
    }

    static BasicProperties.Builder persistent() {
        return new BasicProperties.Builder().deliveryMode(2);
    }

    /** Publishes persistent messages to a queue and waits until all are stored. The channel confirms. */
    static void fill(Channel channel, String queue, List<String> bodies) throws Exception {
        for (String body : bodies) {
            channel.basicPublish("", queue, true, persistent().build(), bytes(body));
        }
        channel.waitForConfirmsOrDie(PATIENCE_S * 1000);
    }

    static List<String> numbers(int from, int to) {
        List<String> numbers = new ArrayList<>();
        for (int number = from; number < to; number++) {
            numbers.add(Integer.toString(number));
        }
        return numbers;
    }

    /** A consumer that keeps what it gets. */
    static Taken consume(Channel channel, String queue, boolean autoAck, Object... arguments) throws Exception {
        Taken taken = new Taken();
        taken.tag = channel.basicConsume(queue, autoAck, "", false, false, map(arguments),
                (tag, delivery) -> taken.deliveries.add(delivery), tag -> taken.cancelled.add(tag));
        return taken;
    }

    /** What a consumer got. */
    static final class Taken {
        final BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
        final BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
        String tag;

        Delivery next() throws Exception {
            return Rabbit.next("a delivery", deliveries);
        }

        List<Delivery> next(int count) throws Exception {
            List<Delivery> list = new ArrayList<>();
            while (list.size() < count) {
                list.add(next());
            }
            return list;
        }
    }

    /** Waits for what another thread puts there. */
    static <T> T next(String what, BlockingQueue<T> from) throws Exception {
        T next = from.poll(PATIENCE_S, TimeUnit.SECONDS);
        Checks.that(next != null, what + ", within " + PATIENCE_S + " s");
        return next;
    }

    /** What a queue has, taken out of it. */
    static List<String> drained(Channel channel, String queue) throws Exception {
        List<String> bodies = new ArrayList<>();
        for (GetResponse got = channel.basicGet(queue, true); got != null; got = channel.basicGet(queue, true)) {
            bodies.add(text(got.getBody()));
        }
        return bodies;
    }

    /** The one message that comes to a queue. */
    static GetResponse got(Channel channel, String queue) throws Exception {
        List<GetResponse> got = new ArrayList<>();
        Checks.until("a message in " + queue, () -> {
            GetResponse one = channel.basicGet(queue, true);
            return one != null && got.add(one);
        });
        return got.get(0);
    }

    static List<String> texts(List<Delivery> deliveries) {
        return deliveries.stream().map(delivery -> text(delivery.getBody())).toList();
    }

    /** Asserts that this ends the channel or the connection with such a code. */
    static void refused(int code, Callable<?> action) throws Exception {
        Throwable thrown = Checks.fails(Throwable.class, action);
        while (thrown != null && !(thrown instanceof ShutdownSignalException)) {
            thrown = thrown.getCause();
        }
        Checks.that(thrown != null, "a shutdown signal with " + code);
        Checks.equal(code, code((ShutdownSignalException) thrown));
    }

    static int code(ShutdownSignalException signal) throws Exception {
        if (signal.getReason() instanceof AMQP.Channel.Close close) {
            return close.getReplyCode();
        }
        if (signal.getReason() instanceof AMQP.Connection.Close close) {
            return close.getReplyCode();
        }
        throw new Checks.Broken("closed by " + signal.getReason());
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
