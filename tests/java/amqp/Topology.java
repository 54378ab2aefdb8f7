import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.BuiltinExchangeType;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.LongString;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** What is promised of exchanges, queues, bindings, dead letters and connections. */
final class Topology {
    private Topology() {}

    static void add(Checks checks) {
        checks.add("each type of exchange routes as it should", Topology::types);
        checks.add("exchanges pass on to exchanges, until they are unbound", Topology::chains);
        checks.add("what an exchange cannot route goes to its alternate", Topology::alternate);
        checks.add("an internal exchange takes from exchanges only", Topology::internal);
        checks.add("dead letters say why, where and how often", Topology::deadLetters);
        checks.add("messages and queues expire", Topology::expiry);
        checks.add("a queue of a connection is nobody else's, and goes with it", Topology::exclusive);
        checks.add("what is declared differently is refused", Topology::inequivalent);
        checks.add("what is used or full is not deleted when one says so", Topology::conditions);
        checks.add("auto-delete queues and exchanges go with their last user", Topology::autoDelete);
        checks.add("calls without an answer are done in their order", Topology::noWait);
        checks.add("the broker says what it can do", Topology::capabilities);
        checks.add("what no broker can do, and a virtual host that is not there, end the connection",
                Topology::connectionErrors);
        checks.add("channels end where the client said they would", Topology::channelMax);
    }

    private static void types() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String topic = Rabbit.exchange(channel, "topic");
            String direct = Rabbit.exchange(channel, "direct");
            String fanout = Rabbit.exchange(channel, "fanout");
            String headers = Rabbit.exchange(channel, "headers");
            String some = Rabbit.queue(channel);
            String all = Rabbit.queue(channel);
            channel.queueBind(some, topic, "a.*.c");
            channel.queueBind(some, topic, "#.c");
            channel.queueBind(all, topic, "#");
            channel.queueBind(some, direct, "key");
            channel.queueBind(all, fanout, "ignored");
            channel.queueBind(some, headers, "", Map.of("x-match", "all", "a", 1, "b", "two"));
            channel.queueBind(all, headers, "", Map.of("x-match", "any", "a", 1, "b", "two"));
            for (String key : List.of("a.b.c", "c", "a.b", "")) {
                channel.basicPublish(topic, key, null, Rabbit.bytes("topic " + key));
            }
            channel.basicPublish(direct, "key", null, Rabbit.bytes("direct"));
            channel.basicPublish(direct, "other", null, Rabbit.bytes("nowhere"));
            channel.basicPublish(fanout, "any", null, Rabbit.bytes("fanout"));
            channel.basicPublish(headers, "", Rabbit.persistent().headers(Map.of("a", 1, "b", "two")).build(),
                    Rabbit.bytes("both"));
            channel.basicPublish(headers, "", Rabbit.persistent().headers(Map.of("a", 1, "b", "three")).build(),
                    Rabbit.bytes("one"));
            channel.confirmSelect();
            channel.basicPublish("", all, null, Rabbit.bytes("end"));
            channel.waitForConfirmsOrDie();
            Checks.equal(List.of("topic a.b.c", "topic c", "direct", "both"), Rabbit.drained(channel, some));
            Checks.equal(List.of("topic a.b.c", "topic c", "topic a.b", "topic ", "fanout", "both", "one", "end"),
                    Rabbit.drained(channel, all));
        }
    }

    private static void chains() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String from = Rabbit.exchange(channel, "topic");
            String over = Rabbit.exchange(channel, "fanout");
            String queue = Rabbit.queue(channel);
            channel.exchangeBind(over, from, "news.#");
            channel.exchangeBind(from, over, "loop");
            channel.queueBind(queue, over, "");
            channel.queueBind(queue, from, "news.*");
            channel.confirmSelect();
            channel.basicPublish(from, "news.a", true, Rabbit.persistent().build(), Rabbit.bytes("once"));
            channel.basicPublish(from, "sports", Rabbit.persistent().build(), Rabbit.bytes("never"));
            channel.waitForConfirmsOrDie();
            Checks.equal(List.of("once"), Rabbit.drained(channel, queue));
            channel.queueUnbind(queue, from, "news.*");
            channel.exchangeUnbind(over, from, "news.#");
            BlockingQueue<String> back = new LinkedBlockingQueue<>();
            channel.addReturnListener(returned -> back.add(Rabbit.text(returned.getBody())));
            channel.basicPublish(from, "news.b", true, Rabbit.persistent().build(), Rabbit.bytes("back"));
            Checks.equal("back", Rabbit.next("the return", back));
        }
    }

    private static void alternate() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String other = Rabbit.exchange(channel, "fanout");
            String exchange = Rabbit.exchange(channel, "direct", "alternate-exchange", other);
            String routed = Rabbit.queue(channel);
            String rest = Rabbit.queue(channel);
            channel.queueBind(routed, exchange, "a");
            channel.queueBind(rest, other, "");
            channel.confirmSelect();
            channel.basicPublish(exchange, "a", true, null, Rabbit.bytes("routed"));
            channel.basicPublish(exchange, "b", true, null, Rabbit.bytes("rest"));
            channel.waitForConfirmsOrDie();
            Checks.equal(List.of("routed"), Rabbit.drained(channel, routed));
            GetResponse got = channel.basicGet(rest, true);
            Checks.equal("rest", Rabbit.text(got.getBody()));
            Checks.equal(exchange, got.getEnvelope().getExchange());
        }
    }

    private static void internal() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String outer = Rabbit.exchange(channel, "direct");
            String inner = Rabbit.name("exchange");
            channel.exchangeDeclare(inner, BuiltinExchangeType.FANOUT, false, false, true, null);
            String queue = Rabbit.queue(channel);
            channel.exchangeBind(inner, outer, "in");
            channel.queueBind(queue, inner, "");
            channel.basicPublish(outer, "in", null, Rabbit.bytes("passed on"));
            Checks.equal("passed on", Rabbit.text(Rabbit.got(channel, queue).getBody()));
            channel.basicPublish(inner, "", null, Rabbit.bytes("refused"));
            Rabbit.refused(403, () -> channel.messageCount(queue));
        }
    }

    private static Map<?, ?> death(GetResponse letter, int at) {
        return (Map<?, ?>) ((List<?>) letter.getProps().getHeaders().get("x-death")).get(at);
    }

    private static void deadLetters() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String dead = Rabbit.queue(channel);
            String exchange = Rabbit.exchange(channel, "fanout");
            channel.queueBind(dead, exchange, "");
            String queue = Rabbit.queue(channel, "x-dead-letter-exchange", exchange, "x-max-length", 1);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, List.of("too many"));
            Rabbit.fill(channel, queue, List.of("rejected"));
            GetResponse letter = Rabbit.got(channel, dead);
            Checks.equal("too many", Rabbit.text(letter.getBody()));
            Checks.equal("maxlen", death(letter, 0).get("reason").toString());
            channel.basicReject(channel.basicGet(queue, false).getEnvelope().getDeliveryTag(), false);
            letter = Rabbit.got(channel, dead);
            Checks.equal("rejected", death(letter, 0).get("reason").toString());
            Checks.equal(queue, death(letter, 0).get("queue").toString());
            Checks.equal("", death(letter, 0).get("exchange").toString());
            Checks.equal(1L, death(letter, 0).get("count"));
            List<?> keys = (List<?>) death(letter, 0).get("routing-keys");
            Checks.equal(List.of(queue), keys.stream().map(Object::toString).toList());
            Checks.equal("rejected", letter.getProps().getHeaders().get("x-first-death-reason").toString());
            Checks.equal(queue, letter.getProps().getHeaders().get("x-last-death-queue").toString());
            Checks.equal(exchange, letter.getEnvelope().getExchange());
            Checks.equal(queue, letter.getEnvelope().getRoutingKey());
            // Through two queues, whose history it has then. What its publisher says of deaths is not believed.
            String second = Rabbit.queue(channel, "x-message-ttl", 1, "x-dead-letter-exchange", "",
                    "x-dead-letter-routing-key", dead);
            String first = Rabbit.queue(channel, "x-message-ttl", 1, "x-dead-letter-exchange", "",
                    "x-dead-letter-routing-key", second);
            channel.basicPublish("", first, letter.getProps(), letter.getBody());
            letter = Rabbit.got(channel, dead);
            Checks.equal(2, ((List<?>) letter.getProps().getHeaders().get("x-death")).size());
            Checks.equal(second, death(letter, 0).get("queue").toString());
            Checks.equal(first, death(letter, 1).get("queue").toString());
            Checks.equal(first, letter.getProps().getHeaders().get("x-first-death-queue").toString());
            Checks.equal("expired", letter.getProps().getHeaders().get("x-first-death-reason").toString());
        }
    }

    private static void expiry() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String dead = Rabbit.queue(channel);
            String queue = Rabbit.queue(channel, "x-message-ttl", 3_600_000, "x-dead-letter-exchange", "",
                    "x-dead-letter-routing-key", dead);
            channel.basicPublish("", queue, Rabbit.persistent().expiration("1").build(), Rabbit.bytes("short"));
            GetResponse letter = Rabbit.got(channel, dead);
            Checks.equal("short", Rabbit.text(letter.getBody()));
            Checks.equal(null, letter.getProps().getExpiration());
            Checks.equal("1", death(letter, 0).get("original-expiration").toString());
            Checks.equal(0L, channel.messageCount(queue));
            String gone = Rabbit.queue(channel, "x-expires", 200);
            // To ask whether it is there would be to use it.
            Checks.until("the queue expires", () -> comesBack(connection, gone));
            channel.basicPublish("", queue, Rabbit.persistent().expiration("soon").build(), Rabbit.bytes("wrong"));
            Rabbit.refused(406, () -> channel.messageCount(queue));
        }
    }

    /** Whether a message finds no such queue. */
    private static boolean comesBack(Connection connection, String queue) throws Exception {
        try (Channel channel = connection.createChannel()) {
            java.util.concurrent.atomic.AtomicBoolean back = new java.util.concurrent.atomic.AtomicBoolean();
            channel.addReturnListener(message -> back.set(true));
            channel.confirmSelect();
            channel.basicPublish("", queue, true, Rabbit.persistent().build(), Rabbit.bytes("mandatory"));
            channel.waitForConfirmsOrDie();
            return back.get();
        }
    }

    private static boolean exists(Connection connection, String queue) throws Exception {
        Channel channel = connection.createChannel();
        try {
            channel.queueDeclarePassive(queue);
        } catch (java.io.IOException e) {
            return false;
        }
        channel.close();
        return true;
    }

    private static void exclusive() throws Exception {
        Connection connection = Rabbit.connect();
        try (Connection other = Rabbit.connect()) {
            String queue = connection.createChannel().queueDeclare().getQueue();
            Checks.that(queue.startsWith("amq.gen-"), queue + " is named by the broker");
            Channel channel = other.createChannel();
            Rabbit.refused(405, () -> channel.queueDeclarePassive(queue));
            connection.close();
            Channel again = other.createChannel();
            Rabbit.refused(404, () -> again.queueDeclarePassive(queue));
            Channel reserved = other.createChannel();
            Rabbit.refused(403, () -> reserved.queueDeclare("amq.mine", true, false, false, null));
        }
    }

    private static void inequivalent() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel, "x-max-length", 5);
            channel.queueDeclare(queue, true, false, false, Map.of("x-max-length", 5L));
            String exchange = Rabbit.exchange(channel, "direct");
            channel.exchangeDeclare(exchange, "direct");
            Channel one = connection.createChannel();
            Rabbit.refused(406, () -> one.queueDeclare(queue, true, false, false, Map.of("x-max-length", 6)));
            Channel two = connection.createChannel();
            Rabbit.refused(406, () -> two.queueDeclare(queue, false, false, false, Map.of("x-max-length", 5)));
            Channel three = connection.createChannel();
            Rabbit.refused(406, () -> three.exchangeDeclare(exchange, "fanout"));
            Channel four = connection.createChannel();
            Rabbit.refused(404, () -> four.queueBind(queue, "no such exchange", ""));
            Channel five = connection.createChannel();
            five.basicPublish("no such exchange", "", null, new byte[0]);
            Rabbit.refused(404, () -> five.messageCount(queue));
            Channel six = connection.createChannel();
            Rabbit.refused(406, () -> six.queueDeclare(Rabbit.name("q"), true, false, false, Map.of("x-message-ttl", -1)));
            Checks.that(channel.isOpen() && connection.isOpen(), "nobody else was closed");
        }
    }

    private static void conditions() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 3));
            Channel one = connection.createChannel();
            Rabbit.refused(406, () -> one.queueDelete(queue, false, true));
            Rabbit.Taken taken = Rabbit.consume(channel, queue, false);
            Channel two = connection.createChannel();
            Rabbit.refused(406, () -> two.queueDelete(queue, true, false));
            channel.basicCancel(taken.tag);
            Checks.equal(0, channel.queueDelete(queue, true, false).getMessageCount());
            String exchange = Rabbit.exchange(channel, "direct");
            String bound = Rabbit.queue(channel);
            channel.queueBind(bound, exchange, "");
            Channel three = connection.createChannel();
            Rabbit.refused(406, () -> three.exchangeDelete(exchange, true));
            channel.queueDelete(bound);
            channel.exchangeDelete(exchange, true);
            channel.queueDelete("it is not there");
            channel.exchangeDelete("it is not there");
        }
    }

    private static void autoDelete() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String exchange = Rabbit.name("exchange");
            channel.exchangeDeclare(exchange, "direct", false, true, null);
            String queue = Rabbit.name("queue");
            channel.queueDeclare(queue, true, false, true, null);
            channel.queueBind(queue, exchange, "");
            Rabbit.Taken taken = Rabbit.consume(channel, queue, true);
            channel.basicCancel(taken.tag);
            Checks.until("the queue goes", () -> !exists(connection, queue));
            Checks.until("the exchange goes", () -> {
                Channel asks = connection.createChannel();
                try {
                    asks.exchangeDeclarePassive(exchange);
                } catch (java.io.IOException e) {
                    return true;
                }
                asks.close();
                return false;
            });
        }
    }

    private static void noWait() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.name("queue");
            String exchange = Rabbit.name("exchange");
            channel.queueDeclareNoWait(queue, true, false, false, null);
            channel.exchangeDeclareNoWait(exchange, "topic", false, false, false, null);
            channel.queueBindNoWait(queue, exchange, "#", null);
            channel.basicPublish(exchange, "a", null, Rabbit.bytes("came"));
            Checks.equal("came", Rabbit.text(Rabbit.got(channel, queue).getBody()));
            channel.queueDeleteNoWait(queue, false, false);
            channel.exchangeDeleteNoWait(exchange, false);
            Rabbit.refused(404, () -> channel.exchangeDeclarePassive(exchange));
        }
    }

    private static void capabilities() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Map<?, ?> can = (Map<?, ?>) connection.getServerProperties().get("capabilities");
            for (String one : List.of("publisher_confirms", "exchange_exchange_bindings", "basic.nack",
                    "consumer_cancel_notify", "connection.blocked", "consumer_priorities",
                    "authentication_failure_close", "per_consumer_qos", "direct_reply_to")) {
                Checks.equal(true, can.get(one));
            }
            Checks.that(connection.getServerProperties().get("version") instanceof LongString, "it has a version");
        }
    }

    private static void connectionErrors() throws Exception {
        ConnectionFactory factory = Rabbit.factory.clone();
        factory.setAutomaticRecoveryEnabled(false);
        Channel channel = factory.newConnection(Rabbit.name("connection")).createChannel();
        Rabbit.refused(503, () -> channel.exchangeDeclare(Rabbit.name("exchange"), "no-such-type"));
        Checks.that(!channel.getConnection().isOpen(), "its connection is closed");
        factory.setVirtualHost("/nowhere");
        Rabbit.refused(530, () -> factory.newConnection(Rabbit.name("connection")));
    }

    private static void channelMax() throws Exception {
        ConnectionFactory factory = Rabbit.factory.clone();
        factory.setRequestedChannelMax(5);
        factory.setRequestedFrameMax(8_192);
        try (Connection connection = factory.newConnection(Rabbit.name("connection"))) {
            Checks.equal(5, connection.getChannelMax());
            Checks.equal(8_192, connection.getFrameMax());
            List<Channel> channels = new ArrayList<>();
            for (int count = 0; count < 5; count++) {
                channels.add(connection.createChannel());
            }
            Checks.equal(null, connection.createChannel());
            channels.get(2).close();
            Channel again = connection.createChannel();
            String queue = Rabbit.queue(again);
            byte[] body = new byte[100_000];
            again.basicPublish("", queue, new AMQP.BasicProperties(), body);
            Checks.equal(body, Rabbit.got(again, queue).getBody());
        }
    }
}
