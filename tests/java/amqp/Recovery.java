import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import com.rabbitmq.client.impl.recovery.AutorecoveringConnection;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** What is promised of connections that break: the client connects again, and declares again what it had. */
final class Recovery {
    private Recovery() {}

    static void add(Checks checks) {
        checks.addAlone("what was confirmed is there after the broker was killed, and consumers go on", Recovery::durable);
        checks.addAlone("queues, exchanges and bindings that went with the broker are there again", Recovery::topology);
    }

    /** Tells when it has recovered. */
    private static BlockingQueue<String> listen(Connection connection) {
        BlockingQueue<String> recovered = new LinkedBlockingQueue<>();
        ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
            @Override
            public void handleRecovery(Recoverable recoverable) {
                recovered.add("recovered");
            }

            @Override
            public void handleRecoveryStarted(Recoverable recoverable) {}
        });
        return recovered;
    }

    private static void durable() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            BlockingQueue<String> recovered = listen(connection);
            String exchange = Rabbit.name("exchange");
            channel.exchangeDeclare(exchange, "direct", true);
            String queue = Rabbit.queue(channel);
            channel.queueBind(queue, exchange, "key");
            channel.confirmSelect();
            channel.basicQos(2);
            Rabbit.Taken taken = Rabbit.consume(channel, queue, false);
            Rabbit.fill(channel, queue, Rabbit.numbers(0, 10));
            List<Delivery> first = taken.next(2);
            Checks.broker("restart");
            Rabbit.next("the recovery", recovered);
            // What was delivered before is not the channel's any more: the client drops this.
            channel.basicAck(first.get(0).getEnvelope().getDeliveryTag(), false);
            for (String number : Rabbit.numbers(0, 10)) {
                Delivery one = taken.next();
                Checks.equal(number, Rabbit.text(one.getBody()));
                channel.basicAck(one.getEnvelope().getDeliveryTag(), false);
            }
            channel.basicPublish(exchange, "key", Rabbit.persistent().build(), Rabbit.bytes("still bound"));
            channel.waitForConfirmsOrDie();
            Checks.equal("still bound", Rabbit.text(taken.next().getBody()));
        }
    }

    private static void topology() throws Exception {
        try (Connection connection = Rabbit.connect()) {
            Channel channel = connection.createChannel();
            BlockingQueue<String> recovered = listen(connection);
            BlockingQueue<String> renamed = new LinkedBlockingQueue<>();
            ((AutorecoveringConnection) connection).addQueueRecoveryListener((from, to) -> renamed.add(from + " " + to));
            String outer = Rabbit.exchange(channel, "topic");
            String inner = Rabbit.exchange(channel, "fanout");
            channel.exchangeBind(inner, outer, "a.#");
            String queue = channel.queueDeclare().getQueue();
            channel.queueBind(queue, inner, "");
            Rabbit.Taken taken = Rabbit.consume(channel, queue, true);
            for (int time = 0; time < 3; time++) {
                Checks.broker("restart");
                Rabbit.next("the recovery", recovered);
                String names = Rabbit.next("the queue's new name", renamed);
                Checks.that(names.startsWith(queue + " amq.gen-"), names + " were " + queue);
                queue = names.split(" ")[1];
                channel.basicPublish(outer, "a.b", null, Rabbit.bytes("time " + time));
                Checks.equal("time " + time, Rabbit.text(taken.next().getBody()));
            }
        }
    }
}
