import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.amqp.AmqpException;
import org.springframework.amqp.core.AmqpAdmin;
import org.springframework.amqp.core.BatchMessageListener;
import org.springframework.amqp.core.Binding;
import org.springframework.amqp.core.BindingBuilder;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.DirectExchange;
import org.springframework.amqp.core.FanoutExchange;
import org.springframework.amqp.core.Message;
import org.springframework.amqp.core.MessageDeliveryMode;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.core.TopicExchange;
import org.springframework.amqp.rabbit.annotation.Exchange;
import org.springframework.amqp.rabbit.annotation.QueueBinding;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.ConnectionFactory;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.listener.DirectMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.SimpleMessageListenerContainer;
import org.springframework.amqp.rabbit.transaction.RabbitTransactionManager;
import org.springframework.amqp.support.AmqpHeaders;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.messaging.handler.annotation.Header;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * A Spring Boot application that was written for RabbitMQ against a broker: `Springs <host:port>`. Its beans declare
 * queues, exchanges and bindings, and listen.
 */
final class Springs {
    private static final AtomicInteger NEXT = new AtomicInteger();

    private static ConfigurableApplicationContext context;
    private static RabbitTemplate template;
    private static AmqpAdmin admin;

    private Springs() {}

    public static void main(String[] args) throws Exception {
        int colon = args[0].lastIndexOf(':');
        SpringApplication application = new SpringApplication(Application.class);
        application.setDefaultProperties(new HashMap<>(Map.of(
                "spring.rabbitmq.host", args[0].substring(0, colon), "spring.rabbitmq.port", args[0].substring(colon + 1),
                "spring.rabbitmq.publisher-confirm-type", "correlated", "spring.rabbitmq.publisher-returns", "true",
                "spring.rabbitmq.template.mandatory", "true", "spring.rabbitmq.template.reply-timeout", "120s",
                "spring.rabbitmq.listener.simple.default-requeue-rejected", "false",
                "spring.main.banner-mode", "off", "spring.main.web-application-type", "none")));
        context = application.run();
        template = context.getBean(RabbitTemplate.class);
        admin = context.getBean(AmqpAdmin.class);
        Checks checks = new Checks();
        checks.add("what beans declare is there", Springs::declared);
        checks.add("listeners get what a template sends", Springs::listeners);
        checks.add("a listener's answer comes back to the template", Springs::answers);
        checks.add("what a listener fails at goes to the dead letters", Springs::failures);
        checks.add("each message is confirmed by its correlation, and returned with it", Springs::confirms);
        checks.add("a template that waits for confirms sees all stored", Springs::invoked);
        checks.add("a transaction that is rolled back sends and takes nothing", Springs::transactions);
        checks.add("containers of both kinds share a queue out", Springs::containers);
        checks.add("batches are taken together", Springs::batches);
        checks.add("a quorum queue counts deliveries, and gives up", Springs::quorum);
        checks.addAlone("listeners and templates go on after the broker was killed", Springs::restart);
        checks.runAndExit(3);
    }

    /** The application. */
    @Configuration(proxyBeanMethods = false)
    @EnableAutoConfiguration
    static class Application {
        @Bean
        Declarables orders() {
            Queue queue = QueueBuilder.durable("spring.orders").deadLetterExchange("spring.dead").build();
            Queue dead = QueueBuilder.durable("spring.orders.dead").build();
            TopicExchange topic = new TopicExchange("spring.topic");
            FanoutExchange letters = new FanoutExchange("spring.dead");
            return new Declarables(queue, dead, topic, letters, BindingBuilder.bind(queue).to(topic).with("orders.*"),
                    BindingBuilder.bind(dead).to(letters));
        }

        @Bean
        Listeners listeners() {
            return new Listeners();
        }
    }

    /** Who listens. */
    static class Listeners {
        final BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        final BlockingQueue<String> events = new LinkedBlockingQueue<>();

        @RabbitListener(queues = "spring.orders", concurrency = "2")
        void order(String order, @Header(AmqpHeaders.RECEIVED_ROUTING_KEY) String key) {
            if (order.startsWith("bad")) {
                throw new IllegalArgumentException(order);
            }
            seen.add(key + " " + order);
        }

        /** A queue that the broker names, and that goes with the application. */
        @RabbitListener(bindings = @QueueBinding(value = @org.springframework.amqp.rabbit.annotation.Queue,
                exchange = @Exchange(name = "spring.events", type = "fanout")))
        void event(String event) {
            events.add(event);
        }

        @RabbitListener(queuesToDeclare = @org.springframework.amqp.rabbit.annotation.Queue("spring.requests"))
        String answer(String request) {
            return "answer to " + request;
        }
    }

    private static String name(String stem) {
        return "spring." + stem + "." + NEXT.incrementAndGet();
    }

    private static String queue() {
        return admin.declareQueue(new Queue(name("queue")));
    }

    /** Connections apart from the application's. */
    private static CachingConnectionFactory connections() {
        String host = context.getEnvironment().getProperty("spring.rabbitmq.host");
        String port = context.getEnvironment().getProperty("spring.rabbitmq.port");
        return new CachingConnectionFactory(host, Integer.parseInt(port));
    }

    private static String next(BlockingQueue<String> from) throws Exception {
        String next = from.poll(120, TimeUnit.SECONDS);
        Checks.that(next != null, "something comes within 120 s");
        return next;
    }

    private static String text(Message message) {
        return message == null ? null : new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static Message receive(String queue) {
        return template.receive(queue, 120_000);
    }

    private static void declared() throws Exception {
        Properties found = admin.getQueueProperties("spring.orders");
        Checks.equal("spring.orders", found.get(RabbitAdmin.QUEUE_NAME));
        Checks.equal(2, found.get(RabbitAdmin.QUEUE_CONSUMER_COUNT));
        Checks.equal(null, admin.getQueueProperties("spring.nowhere"));
        // Declared again, as every instance of an application does; and otherwise, which only the channel feels.
        Checks.equal("spring.orders.dead", admin.declareQueue(new Queue("spring.orders.dead")));
        Queue other = QueueBuilder.durable("spring.orders.dead").maxLength(5L).build();
        Checks.fails(Exception.class, () -> admin.declareQueue(other));
        String queue = queue();
        DirectExchange exchange = new DirectExchange(name("exchange"), false, true);
        admin.declareExchange(exchange);
        Binding binding = BindingBuilder.bind(new Queue(queue)).to(exchange).with("key");
        admin.declareBinding(binding);
        template.convertAndSend(exchange.getName(), "key", "bound");
        Checks.equal("bound", text(receive(queue)));
        admin.removeBinding(binding);
        template.convertAndSend("", queue, "waits");
        Checks.until("it waits", () -> admin.getQueueInfo(queue).getMessageCount() == 1);
        Checks.equal(1, admin.purgeQueue(queue));
        Checks.that(admin.deleteQueue(queue), "it is deleted");
    }

    private static void listeners() throws Exception {
        Listeners listeners = context.getBean(Listeners.class);
        List<String> wanted = new ArrayList<>();
        for (int number = 100; number < 200; number++) {
            template.convertAndSend("spring.topic", "orders.new", "order " + number);
            wanted.add("orders.new order " + number);
        }
        List<String> seen = new ArrayList<>();
        while (seen.size() < wanted.size()) {
            seen.add(next(listeners.seen));
        }
        Checks.equal(wanted, seen.stream().sorted().toList());
        template.convertAndSend("spring.events", "", "happened");
        Checks.equal("happened", next(listeners.events));
    }

    private static void answers() throws Exception {
        for (int number = 0; number < 50; number++) {
            Checks.equal("answer to " + number, template.convertSendAndReceive("spring.requests", (Object) ("" + number)));
        }
    }

    private static void failures() throws Exception {
        template.convertAndSend("spring.topic", "orders.bad", "bad order", message -> {
            message.getMessageProperties().setHeader("tenant", "t1");
            return message;
        });
        Message letter = receive("spring.orders.dead");
        Checks.equal("bad order", text(letter));
        Checks.equal("t1", letter.getMessageProperties().getHeader("tenant"));
        Map<String, ?> death = letter.getMessageProperties().getXDeathHeader().get(0);
        Checks.equal("rejected", death.get("reason").toString());
        Checks.equal("spring.orders", death.get("queue").toString());
        Checks.equal("spring.topic", death.get("exchange").toString());
    }

    private static void confirms() throws Exception {
        String queue = queue();
        List<CorrelationData> goes = new ArrayList<>();
        List<CorrelationData> comes = new ArrayList<>();
        for (int number = 0; number < 100; number++) {
            goes.add(new CorrelationData("goes " + number));
            template.convertAndSend("", queue, (Object) ("" + number), goes.get(number));
            comes.add(new CorrelationData("comes back " + number));
            template.convertAndSend("", "spring.nowhere", (Object) ("" + number), comes.get(number));
        }
        for (int number = 0; number < 100; number++) {
            Checks.that(goes.get(number).getFuture().get(120, TimeUnit.SECONDS).ack(), "it is confirmed");
            Checks.equal(null, goes.get(number).getReturned());
            Checks.that(comes.get(number).getFuture().get(120, TimeUnit.SECONDS).ack(), "it is confirmed, too");
            Checks.equal("" + number, text(comes.get(number).getReturned().getMessage()));
            Checks.equal(312, comes.get(number).getReturned().getReplyCode());
        }
        for (int number = 0; number < 100; number++) {
            Checks.equal("" + number, text(receive(queue)));
        }
    }

    private static void invoked() throws Exception {
        String queue = queue();
        CachingConnectionFactory simple = connections();
        simple.setPublisherConfirmType(CachingConnectionFactory.ConfirmType.SIMPLE);
        RabbitTemplate own = new RabbitTemplate(simple);
        Boolean stored = own.invoke(operations -> {
            for (int number = 0; number < 500; number++) {
                operations.convertAndSend("", queue, "" + number);
            }
            return operations.waitForConfirms(120_000);
        });
        Checks.equal(true, stored);
        Checks.equal(500L, admin.getQueueInfo(queue).getMessageCount());
        simple.destroy();
    }

    private static void transactions() throws Exception {
        String from = queue();
        String to = queue();
        template.convertAndSend("", from, "moved");
        Checks.until("it is there", () -> admin.getQueueInfo(from).getMessageCount() == 1);
        CachingConnectionFactory plain = connections();
        RabbitTemplate own = new RabbitTemplate(plain);
        own.setChannelTransacted(true);
        TransactionTemplate transaction = new TransactionTemplate(new RabbitTransactionManager(plain));
        Checks.fails(IllegalStateException.class, () -> transaction.execute(status -> {
            Message message = own.receive(from);
            own.send("", to, message);
            throw new IllegalStateException("it does not work out");
        }));
        Checks.until("it is back", () -> admin.getQueueInfo(from).getMessageCount() == 1);
        Checks.equal(0L, admin.getQueueInfo(to).getMessageCount());
        transaction.executeWithoutResult(status -> own.send("", to, own.receive(from)));
        Checks.equal("moved", text(receive(to)));
        Checks.equal(0L, admin.getQueueInfo(from).getMessageCount());
        plain.destroy();
    }

    private static void containers() throws Exception {
        String queue = queue();
        ConnectionFactory factory = context.getBean(ConnectionFactory.class);
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        SimpleMessageListenerContainer simple = new SimpleMessageListenerContainer(factory);
        simple.setConcurrentConsumers(2);
        DirectMessageListenerContainer direct = new DirectMessageListenerContainer(factory);
        direct.setConsumersPerQueue(2);
        simple.setQueueNames(queue);
        simple.setPrefetchCount(1);
        simple.setMessageListener(message -> seen.add("simple " + text(message)));
        direct.setQueueNames(queue);
        direct.setPrefetchCount(1);
        direct.setMessageListener(message -> seen.add("direct " + text(message)));
        simple.start();
        direct.start();
        Checks.until("four consume", () -> admin.getQueueInfo(queue).getConsumerCount() == 4);
        List<String> wanted = new ArrayList<>();
        for (int number = 1_000; number < 1_200; number++) {
            template.convertAndSend("", queue, "" + number);
            wanted.add("" + number);
        }
        List<String> all = new ArrayList<>();
        while (all.size() < wanted.size()) {
            all.add(next(seen));
        }
        Checks.equal(wanted, all.stream().map(one -> one.split(" ")[1]).sorted().toList());
        Checks.equal(2L, all.stream().map(one -> one.split(" ")[0]).distinct().count());
        simple.stop();
        direct.stop();
        Checks.until("none consumes", () -> admin.getQueueInfo(queue).getConsumerCount() == 0);
        simple.destroy();
        direct.destroy();
    }

    private static void batches() throws Exception {
        String queue = queue();
        for (int number = 0; number < 20; number++) {
            template.convertAndSend("", queue, "" + number);
        }
        Checks.until("all are there", () -> admin.getQueueInfo(queue).getMessageCount() == 20);
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        SimpleMessageListenerContainer container =
                new SimpleMessageListenerContainer(context.getBean(ConnectionFactory.class));
        container.setQueueNames(queue);
        container.setConsumerBatchEnabled(true);
        container.setBatchSize(10);
        container.setReceiveTimeout(60_000);
        container.setMessageListener(new BatchMessageListener() {
            @Override
            public void onMessageBatch(List<Message> messages) {
                seen.add(messages.size() + " from " + text(messages.get(0)));
            }
        });
        container.start();
        Checks.equal("10 from 0", next(seen));
        Checks.equal("10 from 10", next(seen));
        container.destroy();
        Checks.equal(0L, admin.getQueueInfo(queue).getMessageCount());
    }

    private static void quorum() throws Exception {
        String dead = queue();
        Queue queue = QueueBuilder.durable(name("quorum")).quorum().deliveryLimit(3).deadLetterExchange("")
                .deadLetterRoutingKey(dead).build();
        admin.declareQueue(queue);
        AtomicInteger times = new AtomicInteger();
        SimpleMessageListenerContainer container =
                new SimpleMessageListenerContainer(context.getBean(ConnectionFactory.class));
        container.setQueueNames(queue.getName());
        container.setDefaultRequeueRejected(true);
        container.setMessageListener(message -> {
            times.incrementAndGet();
            throw new IllegalArgumentException("never works");
        });
        container.start();
        template.convertAndSend("", queue.getName(), "poison");
        Message letter = receive(dead);
        Checks.equal("poison", text(letter));
        Checks.equal("delivery_limit", letter.getMessageProperties().getXDeathHeader().get(0).get("reason").toString());
        Checks.equal(4, times.get());
        container.destroy();
    }

    private static void restart() throws Exception {
        Listeners listeners = context.getBean(Listeners.class);
        String queue = queue();
        CorrelationData stored = new CorrelationData();
        template.convertAndSend("", queue, (Object) "stored", message -> {
            message.getMessageProperties().setDeliveryMode(MessageDeliveryMode.PERSISTENT);
            return message;
        }, stored);
        Checks.that(stored.getFuture().get(120, TimeUnit.SECONDS).ack(), "it is confirmed");
        Checks.broker("restart");
        Checks.until("the template works again", () -> {
            try {
                template.convertAndSend("spring.topic", "orders.after", "order after");
                return true;
            } catch (AmqpException e) {
                return false;
            }
        });
        Checks.equal("orders.after order after", next(listeners.seen));
        Checks.equal("stored", text(receive(queue)));
        Checks.equal("answer to again", template.convertSendAndReceive("spring.requests", (Object) "again"));
        Checks.until("an event comes", () -> {
            template.convertAndSend("spring.events", "", "after");
            return listeners.events.poll(200, TimeUnit.MILLISECONDS) != null;
        });
    }
}
