import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;
import org.apache.kafka.common.errors.UnsupportedAssignorException;

/** What the members of a group are promised. */
final class Groups {
    private static final List<Class<?>> ASSIGNORS = List.of(RangeAssignor.class,
            RoundRobinAssignor.class, StickyAssignor.class, CooperativeStickyAssignor.class);

    private final String protocol;

    private Groups(String protocol) {
        this.protocol = protocol;
    }

    static void addTo(Checks checks) {
        for (String protocol : List.of("classic", "consumer")) {
            Groups of = new Groups(protocol);
            String kind = "group (" + protocol + "): ";
            checks.add(kind + "members share partitions, and take over who left", () -> of.shares());
            checks.add(kind + "each record is read once while members come and go", of::comeAndGo);
            checks.add(kind + "a listener is told what is assigned and revoked", of::listener);
            checks.add(kind + "a static member comes back without a rebalance", of::staticMember);
            checks.add(kind + "a second member with an instance id is refused", of::instanceTwice);
            checks.add(kind + "a pattern finds topics made later", of::pattern);
            checks.add(kind + "added partitions are found", of::partitionsAdded);
            checks.add(kind + "another subscription takes the place of the first", of::resubscribes);
            checks.add(kind + "who polls too seldom loses its partitions", of::pollsTooSeldom);
        }
        Groups classic = new Groups("classic");
        for (Class<?> assignor : ASSIGNORS) {
            String name = "group (classic): the assignor " + assignor.getSimpleName();
            checks.add(name, () -> classic.shares(
                    "partition.assignment.strategy", assignor.getName()));
        }
        checks.add("group (classic): a member that vanishes is dropped", classic::vanishes);
        checks.add("group (classic): a rebalance is made when asked for", classic::enforced);
        checks.add("group (classic): from eager to cooperative, one by one", classic::upgrades);
        Groups consumer = new Groups("consumer");
        for (String assignor : List.of("uniform", "range")) {
            checks.add("group (consumer): the assignor " + assignor,
                    () -> consumer.shares("group.remote.assignor", assignor));
        }
        checks.add("group (consumer): an assignor that is not known is refused",
                consumer::unknownAssignor);
        checks.add("group (consumer): a pattern that the broker resolves", consumer::brokerPattern);
        checks.add("group (consumer): a bad pattern is refused", consumer::badPattern);
        checks.add("group: an empty one changes its protocol and keeps its offsets",
                Groups::changesProtocol);
    }

    /** A member of a group, with what it was given and what it read. */
    private final class Member implements AutoCloseable {
        final KafkaConsumer<String, String> consumer;
        final List<String> read = new ArrayList<>();
        final List<String> told = new ArrayList<>();
        final ConsumerRebalanceListener listener = new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                partitions.forEach(partition -> told.add("+" + partition.partition()));
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                partitions.forEach(partition -> told.add("-" + partition.partition()));
                if (!read.isEmpty()) {
                    consumer.commitSync();
                }
            }
        };

        Member(String group, Object... settings) {
            Map<String, Object> all = new HashMap<>(Kafka.settings(settings));
            all.put("group.id", group);
            all.put("group.protocol", protocol);
            if (protocol.equals("classic")) {
                all.putIfAbsent("session.timeout.ms", 10_000);
                all.put("heartbeat.interval.ms", 300);
            }
            all.put("metadata.max.age.ms", 500);
            consumer = Kafka.consumer(all.entrySet().stream()
                    .flatMap(entry -> java.util.stream.Stream.of(entry.getKey(), entry.getValue()))
                    .toArray());
        }

        Member on(String... topics) {
            consumer.subscribe(List.of(topics), listener);
            return this;
        }

        int size() {
            return consumer.assignment().size();
        }

        void poll() {
            Kafka.poll(consumer).forEach(record -> read.add(record.value()));
        }

        @Override
        public void close() {
            consumer.close();
        }
    }

    private static void until(String what, List<Member> members, Callable<Boolean> holds)
            throws Exception {
        Checks.until(what, () -> {
            members.forEach(Member::poll);
            return holds.call();
        });
    }

    private void shares(Object... settings) throws Exception {
        String topic = Kafka.topic(4);
        String group = Kafka.name("group");
        try (Member one = new Member(group, settings).on(topic)) {
            until("one has all", List.of(one), () -> one.size() == 4);
            try (Member two = new Member(group, settings).on(topic)) {
                until("each has two", List.of(one, two), () -> one.size() == 2 && two.size() == 2);
                Set<TopicPartition> all = new HashSet<>(one.consumer.assignment());
                all.addAll(two.consumer.assignment());
                Checks.equal(4, all.size());
                Checks.equal(group, two.consumer.groupMetadata().groupId());
            }
            until("one has all again", List.of(one), () -> one.size() == 4);
        }
    }

    private void comeAndGo() throws Exception {
        String topic = Kafka.topic(6);
        String group = Kafka.name("group");
        List<String> read = new ArrayList<>();
        for (int partition = 0; partition < 6; partition++) {
            Kafka.fill(topic, partition, Kafka.numbers(partition * 200, partition * 200 + 200));
        }
        Object[] few = {"max.poll.records", 20};
        try (Member one = new Member(group, few).on(topic)) {
            until("a start", List.of(one), () -> one.read.size() >= 100);
            try (Member two = new Member(group, few).on(topic)) {
                until("two reads", List.of(one, two), () -> two.size() == 3 && one.size() == 3);
                try (Member three = new Member(group, few).on(topic)) {
                    until("three reads", List.of(one, two, three), () -> three.size() == 2);
                    three.consumer.commitSync();
                    read.addAll(three.read);
                }
                two.consumer.commitSync();
                read.addAll(two.read);
            }
            until("the rest", List.of(one), () -> one.read.size() + read.size() >= 1_200);
            read.addAll(one.read);
        }
        // Each member commits before it gives a partition up, so nothing is read twice.
        Checks.equal(1_200, read.size());
        Checks.equal(1_200, new HashSet<>(read).size());
    }

    private void listener() throws Exception {
        String topic = Kafka.topic(2);
        String group = Kafka.name("group");
        Member one = new Member(group).on(topic);
        until("one has all", List.of(one), () -> one.size() == 2);
        Checks.equal(Set.of("+0", "+1"), new HashSet<>(one.told));
        try (Member two = new Member(group).on(topic)) {
            until("each has one", List.of(one, two), () -> one.size() == 1 && two.size() == 1);
            int kept = one.consumer.assignment().iterator().next().partition();
            int given = two.consumer.assignment().iterator().next().partition();
            Checks.that(one.told.contains("-" + given), "one gave " + given + " up: " + one.told);
            Checks.equal(List.of("+" + given), two.told);
            one.close();
            Checks.equal("-" + kept, one.told.get(one.told.size() - 1));
        }
    }

    private void staticMember() throws Exception {
        String topic = Kafka.topic(2);
        String group = Kafka.name("group");
        Object[] settings = {"group.instance.id", "instance", "session.timeout.ms", 30_000};
        if (protocol.equals("consumer")) {
            settings = new Object[] {"group.instance.id", "instance"};
        }
        try (Member other = new Member(group).on(topic)) {
            Set<TopicPartition> had;
            try (Member first = new Member(group, settings).on(topic)) {
                until("each has one", List.of(first, other),
                        () -> first.size() == 1 && other.size() == 1);
                had = Set.copyOf(first.consumer.assignment());
            }
            List<String> told = List.copyOf(other.told);
            try (Member again = new Member(group, settings).on(topic)) {
                until("it is back", List.of(again, other), () -> again.size() == 1);
                Checks.equal(had, again.consumer.assignment());
            }
            Checks.equal(told, other.told);
        }
    }

    private void instanceTwice() throws Exception {
        String topic = Kafka.topic(2);
        String group = Kafka.name("group");
        Object[] settings = {"group.instance.id", "instance"};
        try (Member first = new Member(group, settings).on(topic);
                Member second = new Member(group, settings).on(topic)) {
            until("the first has all", List.of(first), () -> first.size() == 2);
            // A classic group lets the newcomer in and shuts the first one out; KIP-848 the reverse.
            if (protocol.equals("classic")) {
                until("the second has all", List.of(second), () -> second.size() == 2);
                Checks.fails(FencedInstanceIdException.class, () -> Kafka.take(first.consumer, 1));
            } else {
                Checks.fails(UnreleasedInstanceIdException.class,
                        () -> Kafka.take(second.consumer, 1));
                first.poll();
                Checks.equal(2, first.size());
            }
        }
    }

    private void pattern() throws Exception {
        String stem = Kafka.name("pattern");
        Kafka.create(stem + "-a", 1, Map.of());
        Kafka.create(stem, 1, Map.of());
        try (Member member = new Member(Kafka.name("group"))) {
            member.consumer.subscribe(Pattern.compile(stem + "-.*"), member.listener);
            until("the first topic", List.of(member), () -> member.size() == 1);
            Kafka.create(stem + "-b", 2, Map.of());
            until("the second topic", List.of(member), () -> member.size() == 3);
            Kafka.admin.deleteTopics(List.of(stem + "-a")).all().get();
            until("the first is gone", List.of(member), () -> member.size() == 2);
        }
    }

    private void brokerPattern() throws Exception {
        String stem = Kafka.name("pattern");
        Kafka.create(stem + "-a", 1, Map.of());
        Kafka.create(stem + "-x", 1, Map.of());
        try (Member member = new Member(Kafka.name("group"))) {
            member.consumer.subscribe(
                    new SubscriptionPattern(stem + "-(a|b)"), member.listener);
            until("the first topic", List.of(member), () -> member.size() == 1);
            Kafka.create(stem + "-b", 2, Map.of());
            until("the second topic", List.of(member), () -> member.size() == 3);
        }
    }

    private void badPattern() throws Exception {
        try (Member member = new Member(Kafka.name("group"))) {
            member.consumer.subscribe(new SubscriptionPattern("(a"), member.listener);
            Checks.fails(InvalidRegularExpression.class, () -> Kafka.take(member.consumer, 1));
        }
    }

    private void unknownAssignor() throws Exception {
        String topic = Kafka.topic(1);
        try (Member member = new Member(Kafka.name("group"), "group.remote.assignor", "none-such")) {
            member.on(topic);
            Checks.fails(UnsupportedAssignorException.class, () -> Kafka.take(member.consumer, 1));
        }
    }

    private void partitionsAdded() throws Exception {
        String topic = Kafka.topic(1);
        try (Member member = new Member(Kafka.name("group")).on(topic)) {
            until("one partition", List.of(member), () -> member.size() == 1);
            var more = org.apache.kafka.clients.admin.NewPartitions.increaseTo(3);
            Kafka.admin.createPartitions(Map.of(topic, more)).all().get();
            until("three partitions", List.of(member), () -> member.size() == 3);
            Kafka.fill(topic, 2, List.of("there"));
            until("the record", List.of(member), () -> member.read.contains("there"));
        }
    }

    private void resubscribes() throws Exception {
        String one = Kafka.topic(1);
        String two = Kafka.topic(2);
        try (Member member = new Member(Kafka.name("group")).on(one)) {
            until("the first topic", List.of(member), () -> member.size() == 1);
            member.on(two);
            until("the second topic", List.of(member), () -> member.size() == 2
                    && member.consumer.assignment().contains(new TopicPartition(two, 1)));
            member.consumer.unsubscribe();
            Checks.equal(0, member.size());
            member.on(one, two);
            until("both topics", List.of(member), () -> member.size() == 3);
        }
    }

    private void pollsTooSeldom() throws Exception {
        String topic = Kafka.topic(1);
        String group = Kafka.name("group");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Member busy = new Member(group, "max.poll.interval.ms", 1_500).on(topic);
                Member other = new Member(group).on(topic)) {
            until("it has the partition", List.of(busy), () -> busy.size() == 1);
            until("the other has it", List.of(other), () -> other.size() == 1);
            Checks.fails(CommitFailedException.class, () -> {
                busy.consumer.commitSync(Map.of(partition, new OffsetAndMetadata(0)));
                return null;
            });
        }
    }

    private void vanishes() throws Exception {
        String topic = Kafka.topic(2);
        String group = Kafka.name("group");
        try (Member other = new Member(group).on(topic)) {
            Member lost = new Member(group, "session.timeout.ms", 6_000).on(topic);
            until("each has one", List.of(lost, other), () -> lost.size() == 1 && other.size() == 1);
            lost.consumer.close(CloseOptions.groupMembershipOperation(
                    CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP)
                    .withTimeout(Duration.ofSeconds(5)));
            until("the other has both", List.of(other), () -> other.size() == 2);
        }
    }

    private void enforced() throws Exception {
        String topic = Kafka.topic(1);
        try (Member member = new Member(Kafka.name("group")).on(topic)) {
            until("it has the partition", List.of(member), () -> member.size() == 1);
            int before = member.consumer.groupMetadata().generationId();
            member.consumer.enforceRebalance("because");
            until("a new generation", List.of(member),
                    () -> member.consumer.groupMetadata().generationId() > before);
        }
    }

    private void upgrades() throws Exception {
        String topic = Kafka.topic(2);
        String group = Kafka.name("group");
        String key = "partition.assignment.strategy";
        String both = CooperativeStickyAssignor.class.getName() + "," + RangeAssignor.class.getName();
        Member old = new Member(group, key, RangeAssignor.class.getName()).on(topic);
        try (Member mixed = new Member(group, key, both).on(topic)) {
            until("each has one", List.of(old, mixed), () -> old.size() == 1 && mixed.size() == 1);
            old.close();
            try (Member fresh =
                    new Member(group, key, CooperativeStickyAssignor.class.getName()).on(topic)) {
                until("each has one again", List.of(mixed, fresh),
                        () -> mixed.size() == 1 && fresh.size() == 1);
            }
        }
    }

    private static void changesProtocol() throws Exception {
        String topic = Kafka.topic(1);
        String group = Kafka.name("group");
        Kafka.fill(topic, 0, Kafka.numbers(0, 30));
        int read = 0;
        for (String protocol : List.of("classic", "consumer", "classic")) {
            Groups of = new Groups(protocol);
            try (Member member = of.new Member(group, "max.poll.records", 10).on(topic)) {
                int wanted = read;
                until("ten records", List.of(member), () -> member.read.size() >= 10);
                Checks.equal(Kafka.numbers(wanted, wanted + 10), member.read);
                member.consumer.commitSync();
                read += 10;
            }
        }
    }
}
