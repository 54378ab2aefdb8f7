import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** What consumers are promised. */
final class Consuming {
    private Consuming() {}

    static void add(Checks checks) {
        checks.add("several are acknowledged at once, and what is given back comes first", Consuming::settling);
        checks.add("recover brings back what was not acknowledged", Consuming::recover);
        checks.add("what a closed channel had is given to others", Consuming::closing);
        checks.add("no consumer has more than its prefetch", Consuming::prefetch);
        checks.add("a channel's prefetch holds for all its consumers", Consuming::channelPrefetch);
        checks.add("consumers are told that their queue went", Consuming::cancelled);
        checks.add("a cancelled consumer gets nothing more, and may still acknowledge", Consuming::cancels);
        checks.add("an exclusive consumer is alone", Consuming::exclusive);
        checks.add("of a queue with a single active consumer the next takes over", Consuming::singleActive);
        checks.add("consumers of higher priority come first", Consuming::consumerPriorities);
        checks.add("messages of higher priority come first", Consuming::priorities);
        checks.add("a message that is given back too often goes to the dead letters", Consuming::deliveryLimit);
        checks.add("an acknowledgement of what was not delivered closes the channel", Consuming::wrongTags);
        checks.add("a stream is read from where one asks to", Consuming::streams);
        checks.add("heartbeats come while nothing else does", Consuming::heartbeats);
    }

    private static void settling() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 10));
            List<GetResponse> got = new ArrayList<>();
            for (int count = 9; count >= 0; count--) {
                GetResponse one = channel.basicGet(queue, false);
                Checks.equal(count, one.getMessageCount());
                Checks.that(!one.getEnvelope().isRedeliver(), "it is new");
                got.add(one);
            }
            Checks.equal(null, channel.basicGet(queue, false));
            channel.basicAck(got.get(4).getEnvelope().getDeliveryTag(), true);
            channel.basicNack(got.get(7).getEnvelope().getDeliveryTag(), true, true);
            channel.basicReject(got.get(9).getEnvelope().getDeliveryTag(), true);
            channel.basicReject(got.get(8).getEnvelope().getDeliveryTag(), false);
            Rabbit.Taken taken = Rabbit.consume(channel, queue, true);
            List<Delivery> again = taken.next(4);
            Checks.equal(List.of("5", "6", "7", "9"), Rabbit.texts(again));
            Checks.that(again.stream().allMatch(one -> one.getEnvelope().isRedeliver()), "all came before");
        }
    }

    private static void recover() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 5));
            Rabbit.Taken taken = Rabbit.consume(channel, queue, false);
            List<Delivery> first = taken.next(5);
            channel.basicAck(first.get(1).getEnvelope().getDeliveryTag(), true);
            channel.basicRecover(true);
            List<Delivery> again = taken.next(3);
            Checks.equal(Rabbit.numbers(2, 5), Rabbit.texts(again));
            Checks.that(again.stream().allMatch(one -> one.getEnvelope().isRedeliver()), "all came before");
            Checks.that(again.get(0).getEnvelope().getDeliveryTag() > 5, "a tag is used once");
        }
    }

    private static void closing() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 20));
            Connection other = Rabbit.connect();
            Channel dies = other.createChannel();
            dies.basicQos(10);
            Rabbit.consume(dies, queue, false).next(10);
            other.abort();
            Rabbit.Taken taken = Rabbit.consume(channel, queue, true);
            List<Delivery> all = taken.next(20);
            Checks.equal(Rabbit.numbers(0, 20), Rabbit.texts(all).stream().sorted(
                    (a, b) -> Integer.compare(Integer.parseInt(a), Integer.parseInt(b))).toList());
            Checks.equal(10L, all.stream().filter(one -> one.getEnvelope().isRedeliver()).count());
        }
    }

    private static void prefetch() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 20));
            channel.basicQos(3);
            Rabbit.Taken three = Rabbit.consume(channel, queue, false);
            channel.basicQos(5);
            Rabbit.Taken five = Rabbit.consume(channel, queue, false);
            List<Delivery> first = three.next(3);
            five.next(5);
            Checks.equal(12L, channel.messageCount(queue));
            Checks.that(three.deliveries.isEmpty() && five.deliveries.isEmpty(), "nobody has more");
            channel.basicAck(first.get(1).getEnvelope().getDeliveryTag(), false);
            channel.basicAck(first.get(0).getEnvelope().getDeliveryTag(), false);
            Checks.equal(List.of("8", "9"), Rabbit.texts(three.next(2)));
            Checks.equal(10L, channel.messageCount(queue));
        }
    }

    private static void channelPrefetch() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 10));
            channel.basicQos(0, 4, true);
            BlockingQueue<Delivery> all = new LinkedBlockingQueue<>();
            for (int consumer = 0; consumer < 3; consumer++) {
                channel.basicConsume(queue, false, (tag, delivery) -> all.add(delivery), tag -> { });
            }
            for (int count = 0; count < 4; count++) {
                Rabbit.next("a delivery", all);
            }
            Checks.equal(6L, channel.messageCount(queue));
            Checks.that(all.isEmpty(), "no fifth");
        }
    }

    private static void cancelled() throws Exception {
        try (Connection connection = Rabbit.connect(); Connection other = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            Channel deletes = other.createChannel();
            String queue = Rabbit.queue(channel);
            Rabbit.Taken one = Rabbit.consume(channel, queue, true);
            Rabbit.Taken two = Rabbit.consume(channel, queue, true);
            Checks.equal(2L, deletes.consumerCount(queue));
            deletes.queueDelete(queue);
            Checks.equal(one.tag, Rabbit.next("that it was cancelled", one.cancelled));
            Checks.equal(two.tag, Rabbit.next("that it was cancelled", two.cancelled));
            Checks.that(channel.isOpen(), "the channel goes on");
            Rabbit.consume(channel, Rabbit.queue(channel), true);
        }
    }

    private static void cancels() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 3));
            channel.basicQos(1);
            Rabbit.Taken taken = Rabbit.consume(channel, queue, false);
            Delivery first = taken.next();
            channel.basicCancel(taken.tag);
            Checks.equal(0L, channel.consumerCount(queue));
            channel.basicAck(first.getEnvelope().getDeliveryTag(), false);
            Checks.equal(Rabbit.numbers(1, 3), Rabbit.drained(channel, queue));
            Checks.that(taken.deliveries.isEmpty(), "nothing came after");
        }
    }

    private static void exclusive() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            String tag = channel.basicConsume(queue, true, "", false, true, null, (t, delivery) -> { }, t -> { });
            Channel other = connection.createChannel();
            Rabbit.refused(403, () -> other.basicConsume(queue, true, (t, delivery) -> { }, t -> { }));
            channel.basicCancel(tag);
            try (Channel third = connection.createChannel()) {
                third.basicConsume(queue, true, "", false, true, null, (t, delivery) -> { }, t -> { });
            }
        }
    }

    private static void singleActive() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            Channel other = connection.createChannel();
            String queue = Rabbit.queue(channel, "x-single-active-consumer", true);
            Rabbit.Taken first = Rabbit.consume(channel, queue, true);
            Rabbit.Taken second = Rabbit.consume(other, queue, true);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 5));
            Checks.equal(Rabbit.numbers(0, 5), Rabbit.texts(first.next(5)));
            channel.basicCancel(first.tag);
            Rabbit.fill(channel, queue, Rabbit.numbers(5, 10));
            Checks.equal(Rabbit.numbers(5, 10), Rabbit.texts(second.next(5)));
            Checks.that(first.deliveries.isEmpty(), "nothing for who went");
        }
    }

    private static void consumerPriorities() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel);
            channel.basicQos(2);
            Rabbit.Taken low = Rabbit.consume(channel, queue, false, "x-priority", -1);
            Rabbit.Taken high = Rabbit.consume(channel, queue, false, "x-priority", 10);
            channel.confirmSelect();
            for (String number : Rabbit.numbers(0, 4)) {
                Rabbit.fill(channel, queue, List.of(number));
            }
            Checks.equal(List.of("0", "1"), Rabbit.texts(high.next(2)));
            Checks.equal(List.of("2", "3"), Rabbit.texts(low.next(2)));
        }
    }

    private static void priorities() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel, "x-max-priority", 5);
            channel.confirmSelect();
            int[] sent = {1, 5, 0, 3, 9, 1};
            for (int at = 0; at < sent.length; at++) {
                channel.basicPublish("", queue, Rabbit.persistent().priority(sent[at]).build(),
                        Rabbit.bytes(sent[at] + "/" + at));
            }
            channel.waitForConfirmsOrDie();
            Checks.equal(List.of("5/1", "9/4", "3/3", "1/0", "1/5", "0/2"), Rabbit.drained(channel, queue));
        }
    }

    private static void deliveryLimit() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String dead = Rabbit.queue(channel);
            String queue = Rabbit.queue(channel, "x-queue-type", "quorum", "x-delivery-limit", 2,
                    "x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead);
            channel.confirmSelect();
            Rabbit.fill(channel, queue, List.of("bad"));
            Rabbit.Taken taken = Rabbit.consume(channel, queue, false);
            List<Object> counts = new ArrayList<>();
            for (int time = 0; time < 3; time++) {
                Delivery one = taken.next();
                Map<String, Object> headers = one.getProperties().getHeaders();
                counts.add(headers == null ? null : headers.get("x-delivery-count"));
                channel.basicNack(one.getEnvelope().getDeliveryTag(), false, true);
            }
            Checks.equal("1", String.valueOf(counts.get(1)));
            Checks.equal("2", String.valueOf(counts.get(2)));
            GetResponse letter = Rabbit.got(channel, dead);
            Checks.equal("delivery_limit", String.valueOf(letter.getProps().getHeaders().get("x-first-death-reason")));
        }
    }

    private static void wrongTags() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel keeps = connection.createChannel();
            String queue = Rabbit.queue(keeps);
            Channel channel = connection.createChannel();
            channel.basicAck(77, false);
            Rabbit.refused(406, () -> channel.basicGet(queue, true));
            keeps.confirmSelect();
            Rabbit.fill(keeps, queue, List.of("other channels go on"));
            Channel twice = connection.createChannel();
            long tag = twice.basicGet(queue, false).getEnvelope().getDeliveryTag();
            twice.basicAck(tag, false);
            twice.basicAck(tag, false);
            Rabbit.refused(406, () -> twice.basicGet(queue, true));
            Checks.that(keeps.isOpen(), "the other channel is open");
        }
    }

    private static void streams() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            String queue = Rabbit.queue(channel, "x-queue-type", "stream");
            channel.confirmSelect();
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 50));
            channel.basicQos(10);
            for (Object from : List.of("first", 20L)) {
                Rabbit.Taken taken = Rabbit.consume(channel, queue, false, "x-stream-offset", from);
                int begin = from.equals("first") ? 0 : 20;
                for (int number = begin; number < 50; number++) {
                    Delivery one = taken.next();
                    Checks.equal("" + number, Rabbit.text(one.getBody()));
                    Checks.equal((long) number, one.getProperties().getHeaders().get("x-stream-offset"));
                    channel.basicAck(one.getEnvelope().getDeliveryTag(), false);
                }
                channel.basicCancel(taken.tag);
            }
            Rabbit.Taken next = Rabbit.consume(channel, queue, false, "x-stream-offset", "next");
            Rabbit.fill(channel, queue, List.of("50"));
            Checks.equal("50", Rabbit.text(next.next().getBody()));
        }
    }

    private static void heartbeats() throws Exception {
        ConnectionFactory factory = Rabbit.factory.clone();
        factory.setRequestedHeartbeat(1);
        // Whoever hears nothing for two intervals closes, on either side.
        try (Connection connection = factory.newConnection(Rabbit.name("idle"))) {
            Channel channel = connection.createChannel();
            Checks.equal(1, connection.getHeartbeat());
            BlockingQueue<String> closed = new LinkedBlockingQueue<>();
            connection.addShutdownListener(cause -> closed.add(cause.getMessage()));
            channel.confirmSelect();
            String later = Rabbit.queue(channel);
            String waits = Rabbit.queue(channel, "x-message-ttl", 6_000, "x-dead-letter-exchange", "",
                    "x-dead-letter-routing-key", later);
            Rabbit.Taken taken = Rabbit.consume(channel, later, true);
            Rabbit.fill(channel, waits, List.of("after six heartbeats"));
            Checks.equal("after six heartbeats", Rabbit.text(taken.next().getBody()));
            Checks.equal(null, closed.poll());
        }
    }
}
