import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.RpcClient;
import com.rabbitmq.client.RpcClientParams;
import com.rabbitmq.client.RpcServer;
import com.rabbitmq.client.impl.LongStringHelper;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;

/** What publishers are promised. */
final class Publishing {
    private Publishing() {}

    static void add(Checks checks) {
        checks.add("every message is confirmed once, several at a time", Publishing::confirms);
        checks.add("what cannot be routed comes back before it is confirmed", Publishing::returns);
        checks.add("a queue that is full refuses what would not fit", Publishing::refusals);
        checks.add("headers of every type arrive as they were", Publishing::headers);
        checks.add("properties arrive as they were, and absent ones are absent", Publishing::properties);
        checks.add("a message of many frames arrives whole", Publishing::large);
        checks.add("transactions publish all or nothing", Publishing::transactions);
        checks.add("copies go where CC and BCC say", Publishing::copies);
        checks.add("calls are answered through direct reply-to", Publishing::directReplies);
        checks.add("calls are answered through a queue of the caller's", Publishing::queuedReplies);
        checks.add("channels of one connection publish beside each other", Publishing::channels);
    }

    private static void confirms() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            BlockingQueue<Long> told = new LinkedBlockingQueue<>();
            long[] up = {0};
            channel.addConfirmListener((tag, multiple) -> {
                for (long each = multiple ? up[0] + 1 : tag; each <= tag; each++) {
                    told.add(each);
                }
                up[0] = tag;
            }, (tag, multiple) -> told.add(-tag));
            Checks.equal(1L, channel.getNextPublishSeqNo());
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 3_000));
            for (long tag = 1; tag <= 3_000; tag++) {
                Checks.equal(tag, Rabbit.next("a confirm", told));
            }
            Checks.equal(3_000L, channel.messageCount(queue));
            Checks.equal(3_000, channel.queuePurge(queue).getMessageCount());
            Checks.equal(null, told.poll());
        }
    }

    private static void returns() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            BlockingQueue<String> told = new LinkedBlockingQueue<>();
            channel.addReturnListener(back -> told.add(back.getReplyCode() + " " + back.getReplyText() + " "
                    + back.getExchange() + " " + back.getRoutingKey() + " " + Rabbit.text(back.getBody())));
            channel.confirmSelect();
            channel.addConfirmListener((tag, multiple) -> told.add("confirmed " + tag), (tag, multiple) -> { });
            List<String> wanted = new ArrayList<>();
            for (int number = 1; number <= 20; number++) {
                boolean goes = number % 2 == 0;
                channel.basicPublish("amq.direct", "nowhere", !goes, persistent(), Rabbit.bytes("" + number));
                channel.waitForConfirmsOrDie();
                if (!goes) {
                    wanted.add("312 NO_ROUTE amq.direct nowhere " + number);
                }
                wanted.add("confirmed " + number);
            }
            channel.basicPublish("", queue, true, persistent(), Rabbit.bytes("goes"));
            channel.waitForConfirmsOrDie();
            wanted.add("confirmed 21");
            for (String each : wanted) {
                Checks.equal(each, Rabbit.next("a return or confirm", told));
            }
            Checks.equal(List.of("goes"), Rabbit.drained(channel, queue));
        }
    }

    private static BasicProperties persistent() {
        return Rabbit.persistent().build();
    }

    private static void refusals() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel, "x-max-length", 3, "x-overflow", "reject-publish");
            channel.confirmSelect();
            List<Boolean> stored = new ArrayList<>();
            for (String body : Rabbit.numbers(0, 5)) {
                channel.basicPublish("", queue, persistent(), Rabbit.bytes(body));
                stored.add(channel.waitForConfirms());
            }
            Checks.equal(List.of(true, true, true, false, false), stored);
            Checks.equal(Rabbit.numbers(0, 3), Rabbit.drained(channel, queue));
            channel.basicPublish("", queue, persistent(), Rabbit.bytes("room again"));
            Checks.that(channel.waitForConfirms(), "there is room again");
        }
    }

    private static void headers() throws Exception {
        Map<String, Object> sent = Rabbit.map("true", true, "false", false, "byte", (byte) -7, "short", (short) -300,
                "int", Integer.MIN_VALUE, "long", Long.MAX_VALUE, "float", 1.5f, "double", Math.PI,
                "decimal", new BigDecimal("12.34"), "text", LongStringHelper.asLongString("é"), "empty",
                LongStringHelper.asLongString(""), "bytes", new byte[] {0, -1, 2}, "date", new Date(1_700_000_000_000L),
                "none", null, "list", Arrays.asList(1, LongStringHelper.asLongString("two"), null, List.of(3L)),
                "table", Rabbit.map("inner", Rabbit.map("most", 1), "n", 2), "empty list", List.of(), "empty table", Map.of());
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.basicPublish("", queue, Rabbit.persistent().headers(sent).build(), new byte[0]);
            Map<String, Object> seen = new HashMap<>(Rabbit.got(channel, queue).getProps().getHeaders());
            Checks.equal((byte[]) sent.remove("bytes"), (byte[]) seen.remove("bytes"));
            // Numbers of other types are not equal.
            Checks.equal(sent, seen);
        }
    }

    private static void properties() throws Exception {
        BasicProperties full = new BasicProperties.Builder().contentType("text/plain").contentEncoding("utf-8")
                .headers(Map.of()).deliveryMode(2).priority(7).correlationId("é").replyTo("r").expiration("60000")
                .messageId("m").timestamp(new Date(1_700_000_000_000L)).type("t").userId("guest").appId("a")
                .clusterId("c").build();
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            for (BasicProperties sent : List.of(full, new BasicProperties(), new BasicProperties.Builder().type("").build())) {
                channel.basicPublish("", queue, sent, Rabbit.bytes("body"));
                GetResponse got = Rabbit.got(channel, queue);
                Checks.equal(sent, got.getProps());
                Checks.equal("", got.getEnvelope().getExchange());
                Checks.equal(queue, got.getEnvelope().getRoutingKey());
            }
        }
    }

    private static void large() throws Exception {
        byte[] body = new byte[8_000_001];
        for (int at = 0; at < body.length; at++) {
            body[at] = (byte) (at * 31 + at / 1_000);
        }
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            channel.basicPublish("", queue, persistent(), body);
            channel.basicPublish("", queue, persistent(), new byte[0]);
            channel.waitForConfirmsOrDie();
            Checks.equal(body, channel.basicGet(queue, true).getBody());
            Checks.equal(0, channel.basicGet(queue, true).getBody().length);
        }
    }

    private static void transactions() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            Channel other = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.txSelect();
            channel.basicPublish("", queue, persistent(), Rabbit.bytes("never"));
            channel.txRollback();
            for (String body : Rabbit.numbers(0, 10)) {
                channel.basicPublish("", queue, persistent(), Rabbit.bytes(body));
            }
            Checks.equal(0L, other.messageCount(queue));
            channel.txCommit();
            Checks.equal(10L, other.messageCount(queue));
            GetResponse first = channel.basicGet(queue, false);
            channel.basicAck(first.getEnvelope().getDeliveryTag(), false);
            channel.txRollback();
            channel.basicRecover(true);
            GetResponse again = channel.basicGet(queue, false);
            Checks.equal("0", Rabbit.text(again.getBody()));
            Checks.that(again.getEnvelope().isRedeliver(), "it came before");
            channel.basicAck(again.getEnvelope().getDeliveryTag(), false);
            channel.txCommit();
            Checks.equal(Rabbit.numbers(1, 10), Rabbit.drained(other, queue));
            Rabbit.refused(406, channel::confirmSelect);
        }
    }

    private static void copies() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String to = Rabbit.queue(channel);
            String copy = Rabbit.queue(channel);
            String hidden = Rabbit.queue(channel);
            Map<String, Object> headers = Rabbit.map("CC", List.of(copy, to), "BCC", List.of(hidden), "x", 1);
            channel.basicPublish("", to, Rabbit.persistent().headers(headers).build(), Rabbit.bytes("all"));
            for (String queue : List.of(to, copy, hidden)) {
                GetResponse got = Rabbit.got(channel, queue);
                Checks.equal(List.of("CC", "x"), got.getProps().getHeaders().keySet().stream().sorted().toList());
                Checks.equal(0, got.getMessageCount());
            }
        }
    }

    private static void directReplies() throws Exception {
        calls("amq.rabbitmq.reply-to");
    }

    private static void queuedReplies() throws Exception {
        calls(null);
    }

    private static void calls(String replies) throws Exception {
        try (Connection connection = Rabbit.connect(); Connection other = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            Channel serving = other.createChannel();
            String requests = Rabbit.queue(channel);
            RpcServer server = new RpcServer(serving, requests) {
                @Override
                public byte[] handleCall(byte[] request, BasicProperties properties) {
                    return Rabbit.bytes("answer to " + Rabbit.text(request));
                }
            };
            Thread thread = new Thread(() -> {
                try {
                    server.mainloop();
                } catch (Exception e) {
                    // The caller sees that no answer comes.
                }
            });
            // It serves until its connection ends.
            thread.setDaemon(true);
            thread.start();
            String to = replies == null ? channel.queueDeclare().getQueue() : replies;
            RpcClientParams params = new RpcClientParams().channel(channel).exchange("").routingKey(requests)
                    .replyTo(to).timeout(120_000);
            RpcClient client = new RpcClient(params);
            ExecutorService pool = Executors.newFixedThreadPool(4);
            List<Future<String>> answers = new ArrayList<>();
            for (String number : Rabbit.numbers(0, 200)) {
                answers.add(pool.submit(() -> client.stringCall(number)));
            }
            for (int number = 0; number < answers.size(); number++) {
                Checks.equal("answer to " + number, answers.get(number).get());
            }
            pool.shutdown();
            client.close();
        }
    }

    private static void channels() throws Exception {
        int threads = 6;
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            ExecutorService pool = Executors.newFixedThreadPool(threads);
            List<Future<Void>> running = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                int from = thread * 1_000;
                running.add(pool.submit(() -> {
                    for (int part = 0; part < 20; part++) {
                        Channel own = connection.createChannel();
                        own.confirmSelect();
                        Rabbit.fill(own, queue, Rabbit.numbers(from + part * 50, from + part * 50 + 50));
                        own.close();
                    }
                    return null;
                }));
            }
            for (Future<Void> one : running) {
                one.get();
            }
            pool.shutdown();
            List<Integer> seen = Rabbit.drained(channel, queue).stream().map(Integer::valueOf).toList();
            for (int thread = 0; thread < threads; thread++) {
                int of = thread;
                List<Integer> own = seen.stream().filter(number -> number / 1_000 == of).toList();
                Checks.equal(own.stream().sorted().toList(), own);
            }
            Checks.equal(threads * 1_000, seen.size());
        }
    }
}
