import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** What an administrator is promised of the cluster, its users and its transactions. */
final class AdminCluster {
    private static final Admin ADMIN = Kafka.admin;

    private AdminCluster() {}

    static void addTo(Checks checks) {
        String kind = "admin (cluster): ";
        checks.add(kind + "it is described", AdminCluster::cluster);
        checks.add(kind + "features are described, and an update can be validated",
                AdminCluster::features);
        checks.add(kind + "log folders are described with what they hold", AdminCluster::logDirs);
        checks.add(kind + "a replica's log folder is described and kept", AdminCluster::replicaDirs);
        checks.add(kind + "an election is not needed where the leader lives", AdminCluster::elects);
        checks.add(kind + "a reassignment to where it is already is done at once",
                AdminCluster::reassigns);
        checks.add(kind + "its quorum is described", AdminCluster::quorum);
        kind = "admin (transactions): ";
        checks.add(kind + "they are listed and described", AdminCluster::transactions);
        checks.add(kind + "producers of a partition are described", AdminCluster::producers);
        checks.add(kind + "one that hangs is aborted", AdminCluster::aborts);
        checks.add(kind + "one is terminated by its id", AdminCluster::terminates);
        checks.add(kind + "a producer is fenced by its id", AdminCluster::fences);
        kind = "admin (users): ";
        checks.add(kind + "quotas are set, listed and removed", AdminCluster::quotas);
        checks.add(kind + "SCRAM passwords are set, listed and removed", AdminCluster::scram);
        checks.add(kind + "access rules are made, listed and removed", AdminCluster::acls);
    }

    private static int broker() throws Exception {
        return ADMIN.describeCluster().controller().get().id();
    }

    private static void cluster() throws Exception {
        var described = ADMIN.describeCluster(
                new DescribeClusterOptions().includeAuthorizedOperations(true));
        Checks.equal(1, described.nodes().get().size());
        var node = described.nodes().get().iterator().next();
        Checks.equal(node, described.controller().get());
        Checks.that(Kafka.server.endsWith(":" + node.port()), "its port: " + node.port());
        Checks.that(!described.clusterId().get().isEmpty(), "it has an id");
        Checks.that(described.authorizedOperations().get().contains(AclOperation.CREATE),
                "what may be done is told: " + described.authorizedOperations().get());
    }

    private static void features() throws Exception {
        var features = ADMIN.describeFeatures().featureMetadata().get();
        Checks.that(features.finalizedFeatures().containsKey("transaction.version"),
                "finalized: " + features.finalizedFeatures());
        Checks.that(features.supportedFeatures().containsKey("group.version"),
                "supported: " + features.supportedFeatures());
        short level = features.finalizedFeatures().get("group.version").maxVersionLevel();
        ADMIN.updateFeatures(
                Map.of("group.version", new FeatureUpdate(level, FeatureUpdate.UpgradeType.UPGRADE)),
                new UpdateFeaturesOptions().validateOnly(true)).all().get();
    }

    private static void logDirs() throws Exception {
        String topic = Kafka.topic(1);
        Kafka.fill(topic, 0, List.of("x".repeat(10_000)));
        var all = ADMIN.describeLogDirs(List.of(broker())).allDescriptions().get().get(broker());
        var one = all.values().iterator().next();
        Checks.equal(null, one.error());
        var replica = one.replicaInfos().get(new TopicPartition(topic, 0));
        Checks.that(replica.size() >= 10_000, "its size: " + replica.size());
        Checks.that(one.totalBytes().orElse(0) > 0, "the disk's size");
        Checks.that(one.usableBytes().orElse(0) > 0, "the disk's free space");
    }

    private static void replicaDirs() throws Exception {
        var replica = new TopicPartitionReplica(Kafka.topic(1), 0, broker());
        var info = ADMIN.describeReplicaLogDirs(List.of(replica)).all().get().get(replica);
        String folder = info.getCurrentReplicaLogDir();
        Checks.that(folder != null, "it has a folder");
        ADMIN.alterReplicaLogDirs(Map.of(replica, folder)).all().get();
    }

    private static void elects() throws Exception {
        TopicPartition partition = new TopicPartition(Kafka.topic(1), 0);
        for (ElectionType type : ElectionType.values()) {
            var result = ADMIN.electLeaders(type, Set.of(partition)).partitions().get();
            Checks.that(result.get(partition).orElseThrow() instanceof ElectionNotNeededException,
                    "no need: " + result);
        }
    }

    private static void reassigns() throws Exception {
        TopicPartition partition = new TopicPartition(Kafka.topic(1), 0);
        var same = Optional.of(new NewPartitionReassignment(List.of(broker())));
        ADMIN.alterPartitionReassignments(Map.of(partition, same)).all().get();
        Checks.equal(Map.of(), ADMIN.listPartitionReassignments(Set.of(partition))
                .reassignments().get());
        var elsewhere = Optional.of(new NewPartitionReassignment(List.of(broker() + 1_000)));
        Checks.fails(org.apache.kafka.common.errors.InvalidReplicaAssignmentException.class,
                () -> ADMIN.alterPartitionReassignments(Map.of(partition, elsewhere)).all().get());
    }

    private static void quorum() throws Exception {
        var quorum = ADMIN.describeMetadataQuorum().quorumInfo().get();
        Checks.equal(broker(), quorum.leaderId());
    }

    /** A producer with an open transaction in this partition. */
    private static KafkaProducer<String, String> open(String id, TopicPartition partition)
            throws Exception {
        KafkaProducer<String, String> producer = Kafka.producer("transactional.id", id);
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(partition.topic(), 0, null, "inside")).get();
        return producer;
    }

    private static void transactions() throws Exception {
        TopicPartition partition = new TopicPartition(Kafka.topic(1), 0);
        String id = Kafka.name("id");
        try (var producer = open(id, partition)) {
            var listed = ADMIN.listTransactions(new ListTransactionsOptions().filterStates(
                    Set.of(TransactionState.ONGOING))).all().get();
            Checks.that(listed.stream().anyMatch(one -> one.transactionalId().equals(id)),
                    "it is listed");
            var described = ADMIN.describeTransactions(List.of(id)).all().get().get(id);
            Checks.equal(TransactionState.ONGOING, described.state());
            Checks.equal(Set.of(partition), described.topicPartitions());
            Checks.that(described.transactionStartTimeMs().isPresent(), "it has a start");
            producer.commitTransaction();
            Checks.until("it is complete", () -> TransactionState.COMPLETE_COMMIT
                    == ADMIN.describeTransactions(List.of(id)).all().get().get(id).state());
        }
        var others = ADMIN.listTransactions(new ListTransactionsOptions()
                .filterOnTransactionalIdPattern(id)).all().get();
        Checks.equal(1, others.size());
        Checks.fails(TransactionalIdNotFoundException.class,
                () -> ADMIN.describeTransactions(List.of("none-such")).all().get());
    }

    private static void producers() throws Exception {
        TopicPartition partition = new TopicPartition(Kafka.topic(1), 0);
        try (var producer = open(Kafka.name("id"), partition)) {
            var active = ADMIN.describeProducers(Set.of(partition)).all().get()
                    .get(partition).activeProducers();
            Checks.equal(1, active.size());
            Checks.equal(0L, active.get(0).currentTransactionStartOffset().orElse(-1));
            Checks.equal(0, active.get(0).lastSequence());
            producer.abortTransaction();
        }
    }

    private static void aborts() throws Exception {
        TopicPartition partition = new TopicPartition(Kafka.topic(1), 0);
        var producer = open(Kafka.name("id"), partition);
        Kafka.fill(partition.topic(), 0, List.of("outside"));
        var active = ADMIN.describeProducers(Set.of(partition)).all().get()
                .get(partition).activeProducers().get(0);
        ADMIN.abortTransaction(new AbortTransactionSpec(partition, active.producerId(),
                (short) active.producerEpoch(), active.coordinatorEpoch().orElse(0))).all().get();
        Checks.equal(List.of("outside"), Kafka.committed(partition.topic()));
        producer.close(java.time.Duration.ZERO);
    }

    private static void terminates() throws Exception {
        TopicPartition partition = new TopicPartition(Kafka.topic(1), 0);
        String id = Kafka.name("id");
        var producer = open(id, partition);
        ADMIN.forceTerminateTransaction(id).result().get();
        Kafka.fill(partition.topic(), 0, List.of("outside"));
        Checks.equal(List.of("outside"), Kafka.committed(partition.topic()));
        producer.close(java.time.Duration.ZERO);
    }

    private static void fences() throws Exception {
        TopicPartition partition = new TopicPartition(Kafka.topic(1), 0);
        String id = Kafka.name("id");
        var producer = open(id, partition);
        var fenced = ADMIN.fenceProducers(List.of(id));
        Checks.that(fenced.producerId(id).get() >= 0, "its producer id is told");
        Checks.fails(ProducerFencedException.class, () -> {
            producer.commitTransaction();
            return null;
        });
        producer.close(java.time.Duration.ZERO);
        Checks.equal(List.of(), Kafka.committed(partition.topic()));
    }

    private static void quotas() throws Exception {
        var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, Kafka.name("user")));
        var rate = new ClientQuotaAlteration.Op("producer_byte_rate", 1_000_000.0);
        ADMIN.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(rate)))).all().get();
        var filter = ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntity(
                ClientQuotaEntity.USER, entity.entries().get(ClientQuotaEntity.USER))));
        var wanted = Map.of(entity, Map.of("producer_byte_rate", 1_000_000.0));
        Checks.until("the quota is listed", () ->
                wanted.equals(ADMIN.describeClientQuotas(filter).entities().get()));
        var none = new ClientQuotaAlteration.Op("producer_byte_rate", null);
        ADMIN.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(none)))).all().get();
        Checks.until("the quota is gone", () ->
                ADMIN.describeClientQuotas(filter).entities().get().isEmpty());
    }

    private static void scram() throws Exception {
        String user = Kafka.name("user");
        var info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8_192);
        ADMIN.alterUserScramCredentials(
                List.of(new UserScramCredentialUpsertion(user, info, "secret"))).all().get();
        var described = ADMIN.describeUserScramCredentials(List.of(user)).description(user).get();
        Checks.equal(List.of(info), described.credentialInfos());
        ADMIN.alterUserScramCredentials(List.of(
                new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))).all().get();
        Checks.fails(org.apache.kafka.common.errors.ResourceNotFoundException.class,
                () -> ADMIN.describeUserScramCredentials(List.of(user)).description(user).get());
    }

    private static void acls() throws Exception {
        var rule = new AclBinding(
                new ResourcePattern(ResourceType.TOPIC, Kafka.name("rule"), PatternType.PREFIXED),
                new AccessControlEntry("User:somebody", "*", AclOperation.READ,
                        AclPermissionType.ALLOW));
        ADMIN.createAcls(List.of(rule)).all().get();
        Checks.equal(Set.of(rule),
                new HashSet<>(ADMIN.describeAcls(rule.toFilter()).values().get()));
        ADMIN.deleteAcls(List.of(rule.toFilter())).all().get();
        Checks.equal(List.of(), List.copyOf(ADMIN.describeAcls(rule.toFilter()).values().get()));
    }
}
