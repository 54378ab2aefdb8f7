//go:build functional

package sarama_test

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// Every call of ClusterAdmin that needs no users; those that do are in security_test.go.
func TestOursAdmin(t *testing.T) {
	t.Run("topics are made, listed, described and deleted", adminTopics)
	t.Run("a topic is not made twice, nor with a name or settings that cannot be", adminRefusesTopics)
	t.Run("a topic that is only validated is not made", adminValidates)
	t.Run("partitions are added, not taken away", adminPartitions)
	t.Run("records are deleted", adminDeleteRecords)
	t.Run("a topic's settings are changed one by one and all at once", adminConfigs)
	t.Run("the broker's settings are shown", adminBroker)
	t.Run("offsets are listed by the ends, by time and as committed", adminOffsets)
	t.Run("a group's offsets are set, listed, and deleted with it", adminGroupOffsets)
	t.Run("groups are listed, described and deleted when empty", adminGroups)
	t.Run("quotas are set, described and removed", adminQuotas)
	t.Run("log folders tell what they hold", adminLogDirs)
	t.Run("the cluster is described", adminCluster)
	t.Run("elections and reassignments find nothing to do", adminNothingToDo)
	t.Run("features cannot be raised", adminFeatures)
}

func adminTopics(t *testing.T) {
	admin, topic := newAdmin(t), named("topic")
	detail := &sarama.TopicDetail{
		NumPartitions: 3, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"retention.ms": text("3600000")},
	}
	require.NoError(t, admin.CreateTopic(topic, detail, false))
	all, err := admin.ListTopics()
	require.NoError(t, err)
	require.EqualValues(t, 3, all[topic].NumPartitions)
	require.EqualValues(t, 1, all[topic].ReplicationFactor)
	require.Equal(t, "3600000", *all[topic].ConfigEntries["retention.ms"])
	seen, err := admin.DescribeTopics([]string{topic})
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.Equal(t, sarama.ErrNoError, seen[0].Err)
	require.False(t, seen[0].IsInternal)
	require.NotZero(t, seen[0].Uuid)
	require.Len(t, seen[0].Partitions, 3)
	for _, partition := range seen[0].Partitions {
		require.EqualValues(t, 1, partition.Leader)
		require.Equal(t, []int32{1}, partition.Replicas)
		require.Equal(t, []int32{1}, partition.Isr)
		require.Empty(t, partition.OfflineReplicas)
	}
	require.NoError(t, admin.DeleteTopic(topic))
	seen, err = admin.DescribeTopics([]string{topic})
	require.NoError(t, err)
	require.Equal(t, sarama.ErrUnknownTopicOrPartition, seen[0].Err)
	require.ErrorIs(t, admin.DeleteTopic(topic), sarama.ErrUnknownTopicOrPartition)
}

func adminRefusesTopics(t *testing.T) {
	admin, topic := newAdmin(t), newTopic(t, 1)
	detail := func(partitions int32, replicas int16) *sarama.TopicDetail {
		return &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas}
	}
	require.ErrorIs(t, admin.CreateTopic(topic, detail(1, 1), false), sarama.ErrTopicAlreadyExists)
	require.ErrorIs(t, admin.CreateTopic("a/b", detail(1, 1), false), sarama.ErrInvalidTopic)
	require.ErrorIs(t, admin.CreateTopic(named("t"), detail(0, 1), false), sarama.ErrInvalidPartitions)
	require.ErrorIs(t, admin.CreateTopic(named("t"), detail(1, 3), false), sarama.ErrInvalidReplicationFactor)
	wrong := detail(1, 1)
	wrong.ConfigEntries = map[string]*string{"retention.ms": text("soon")}
	require.ErrorIs(t, admin.CreateTopic(named("t"), wrong, false), sarama.ErrInvalidConfig)
	placed := &sarama.TopicDetail{NumPartitions: -1, ReplicationFactor: -1}
	placed.ReplicaAssignment = map[int32][]int32{0: {1}, 1: {99}}
	require.ErrorIs(t, admin.CreateTopic(named("t"), placed, false), sarama.ErrInvalidReplicaAssignment)
}

func adminValidates(t *testing.T) {
	admin, topic := newAdmin(t), named("topic")
	detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}
	require.NoError(t, admin.CreateTopic(topic, detail, true))
	all, err := admin.ListTopics()
	require.NoError(t, err)
	require.NotContains(t, all, topic)
}

func adminPartitions(t *testing.T) {
	admin, topic := newAdmin(t), newTopic(t, 2)
	require.NoError(t, admin.CreatePartitions(topic, 4, nil, true))
	require.NoError(t, admin.CreatePartitions(topic, 3, nil, false))
	require.NoError(t, admin.CreatePartitions(topic, 5, [][]int32{{1}, {1}}, false))
	require.ErrorIs(t, admin.CreatePartitions(topic, 1, nil, false), sarama.ErrInvalidPartitions)
	seen, err := admin.DescribeTopics([]string{topic})
	require.NoError(t, err)
	require.Len(t, seen[0].Partitions, 5)
}

func adminDeleteRecords(t *testing.T) {
	admin, topic := newAdmin(t), newTopic(t, 2)
	fill(t, topic, 0, 0, 10)
	fill(t, topic, 1, 0, 10)
	require.NoError(t, admin.DeleteRecords(topic, map[int32]int64{0: 4, 1: -1}))
	client := newClient(t, settings())
	for partition, wanted := range map[int32]int64{0: 4, 1: 10} {
		oldest, err := client.GetOffset(topic, partition, sarama.OffsetOldest)
		require.NoError(t, err)
		require.Equal(t, wanted, oldest)
	}
	require.Error(t, admin.DeleteRecords(topic, map[int32]int64{0: 100}))
}

func configOf(t *testing.T, admin sarama.ClusterAdmin, topic, name string) sarama.ConfigEntry {
	t.Helper()
	entries, err := admin.DescribeConfig(sarama.ConfigResource{
		Type: sarama.TopicResource, Name: topic, ConfigNames: []string{name},
	})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	return entries[0]
}

func adminConfigs(t *testing.T) {
	admin, topic := newAdmin(t), newTopic(t, 1)
	change := func(operation sarama.IncrementalAlterConfigsOperation, name string, value *string, validate bool) error {
		return admin.IncrementalAlterConfig(sarama.TopicResource, topic,
			map[string]sarama.IncrementalAlterConfigsEntry{name: {Operation: operation, Value: value}}, validate)
	}
	set, remove := sarama.IncrementalAlterConfigsOperationSet, sarama.IncrementalAlterConfigsOperationDelete
	add, take := sarama.IncrementalAlterConfigsOperationAppend, sarama.IncrementalAlterConfigsOperationSubtract
	require.True(t, configOf(t, admin, topic, "retention.ms").Default)
	require.NoError(t, change(set, "retention.ms", text("60000"), true))
	require.True(t, configOf(t, admin, topic, "retention.ms").Default, "it was only validated")
	require.NoError(t, change(set, "retention.ms", text("60000"), false))
	entry := configOf(t, admin, topic, "retention.ms")
	require.Equal(t, "60000", entry.Value)
	require.Equal(t, sarama.SourceTopic, entry.Source)
	require.False(t, entry.Default)
	require.False(t, entry.ReadOnly)
	require.NoError(t, change(add, "cleanup.policy", text("compact"), false))
	require.Equal(t, "delete,compact", configOf(t, admin, topic, "cleanup.policy").Value)
	require.NoError(t, change(take, "cleanup.policy", text("delete"), false))
	require.Equal(t, "compact", configOf(t, admin, topic, "cleanup.policy").Value)
	require.NoError(t, change(remove, "retention.ms", nil, false))
	require.True(t, configOf(t, admin, topic, "retention.ms").Default)
	require.ErrorIs(t, change(set, "retention.ms", text("soon"), false), sarama.ErrInvalidConfig)
	require.ErrorIs(t, change(set, "no.such.setting", text("1"), false), sarama.ErrInvalidConfig)
	all := map[string]*string{"segment.bytes": text("1048576")}
	require.NoError(t, admin.AlterConfig(sarama.TopicResource, topic, all, false))
	require.Equal(t, "1048576", configOf(t, admin, topic, "segment.bytes").Value)
	require.True(t, configOf(t, admin, topic, "cleanup.policy").Default, "what is not named is reset")
}

func adminBroker(t *testing.T) {
	admin := newAdmin(t)
	results, err := admin.DescribeConfigs(
		[]*sarama.ConfigResource{{Type: sarama.BrokerResource, Name: "1"}},
		sarama.DescribeConfigsOptions{IncludeSynonyms: true, IncludeDocumentation: true})
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.Equal(t, sarama.ErrNoError, results[0].ErrorCode)
	seen := map[string]sarama.ConfigEntry{}
	for _, entry := range results[0].Configs {
		seen[entry.Name] = entry
	}
	require.Equal(t, "false", seen["auto.create.topics.enable"].Value)
	require.NotEmpty(t, seen["auto.create.topics.enable"].Documentation)
	require.Contains(t, seen, "log.retention.ms")
}

func adminOffsets(t *testing.T) {
	admin, topic := newAdmin(t), newTopic(t, 1)
	producer := newProducer(t, transactional(named("id")))
	require.NoError(t, producer.BeginTxn())
	send(t, producer, topic, "committed")
	require.NoError(t, producer.CommitTxn())
	require.NoError(t, producer.BeginTxn())
	send(t, producer, topic, "open")
	find := func(asked int64, level sarama.IsolationLevel) *sarama.OffsetResult {
		found, err := admin.ListOffsets(map[string]map[int32]int64{topic: {0: asked}},
			&sarama.ListOffsetsOptions{IsolationLevel: level})
		require.NoError(t, err)
		require.Equal(t, sarama.ErrNoError, found[topic][0].Err)
		return found[topic][0]
	}
	require.EqualValues(t, 0, find(sarama.OffsetOldest, sarama.ReadUncommitted).Offset)
	require.EqualValues(t, 3, find(sarama.OffsetNewest, sarama.ReadUncommitted).Offset)
	require.EqualValues(t, 2, find(sarama.OffsetNewest, sarama.ReadCommitted).Offset)
	first := find(1, sarama.ReadUncommitted)
	require.EqualValues(t, 0, first.Offset)
	require.Positive(t, first.Timestamp)
	require.NoError(t, producer.AbortTxn())
	require.EqualValues(t, 4, find(sarama.OffsetNewest, sarama.ReadCommitted).Offset)
}

func adminGroupOffsets(t *testing.T) {
	admin, topic, group := newAdmin(t), newTopic(t, 2), named("group")
	answer, err := admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{
		topic: {0: {Offset: 3, Metadata: "three", LeaderEpoch: -1}, 1: {Offset: 4, LeaderEpoch: -1}},
	}, nil)
	require.NoError(t, err)
	require.Equal(t, sarama.ErrNoError, answer.Errors[topic][0])
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1}})
	require.NoError(t, err)
	require.EqualValues(t, 3, offsets.GetBlock(topic, 0).Offset)
	require.Equal(t, "three", offsets.GetBlock(topic, 0).Metadata)
	require.EqualValues(t, 4, offsets.GetBlock(topic, 1).Offset)
	require.NoError(t, admin.DeleteConsumerGroupOffset(group, topic, 1))
	batch, err := admin.ListConsumerGroupOffsetsBatch(map[string]map[string][]int32{group: nil})
	require.NoError(t, err)
	require.Equal(t, sarama.ErrNoError, batch[group].Err)
	require.Len(t, batch[group].Blocks[topic], 1)
	require.EqualValues(t, 3, batch[group].Blocks[topic][0].Offset)
	require.NoError(t, admin.DeleteConsumerGroup(group))
	offsets, err = admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	require.NoError(t, err)
	require.EqualValues(t, -1, offsets.GetBlock(topic, 0).Offset)
}

func adminGroups(t *testing.T) {
	admin, topic, group := newAdmin(t), newTopic(t, 2), named("group")
	m := join(t, group, with(sarama.NewBalanceStrategyRange()), topic)
	untilShared(t, group, 1)
	all, err := admin.ListConsumerGroups()
	require.NoError(t, err)
	require.Equal(t, "consumer", all[group])
	seen := described(t, group)
	require.Equal(t, "range", seen.Protocol)
	for _, one := range seen.Members {
		require.Equal(t, "entrepot", one.ClientId)
		assigned, err := one.GetMemberAssignment()
		require.NoError(t, err)
		require.Equal(t, map[string][]int32{topic: {0, 1}}, assigned.Topics)
		metadata, err := one.GetMemberMetadata()
		require.NoError(t, err)
		require.Equal(t, []string{topic}, metadata.Topics)
	}
	require.ErrorIs(t, admin.DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup)
	coordinator, err := admin.Coordinator(group)
	require.NoError(t, err)
	require.EqualValues(t, 1, coordinator.ID())
	m.leave(t)
	eventually(t, "the group is empty", func() bool { return described(t, group).State == "Empty" })
	require.NoError(t, admin.DeleteConsumerGroup(group))
	require.Equal(t, "Dead", described(t, group).State)
}

func adminQuotas(t *testing.T) {
	admin, user := newAdmin(t), named("user")
	entity := []sarama.QuotaEntityComponent{
		{EntityType: sarama.QuotaEntityUser, MatchType: sarama.QuotaMatchExact, Name: user},
		{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchDefault},
	}
	filter := []sarama.QuotaFilterComponent{
		{EntityType: sarama.QuotaEntityUser, MatchType: sarama.QuotaMatchExact, Match: user},
	}
	set := sarama.ClientQuotasOp{Key: "producer_byte_rate", Value: 1e6}
	require.NoError(t, admin.AlterClientQuotas(entity, set, true))
	seen, err := admin.DescribeClientQuotas(filter, false)
	require.NoError(t, err)
	require.Empty(t, seen, "it was only validated")
	require.NoError(t, admin.AlterClientQuotas(entity, set, false))
	seen, err = admin.DescribeClientQuotas(filter, false)
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.Equal(t, map[string]float64{"producer_byte_rate": 1e6}, seen[0].Values)
	require.ElementsMatch(t, entity, seen[0].Entity)
	strict, err := admin.DescribeClientQuotas(filter, true)
	require.NoError(t, err)
	require.Empty(t, strict, "it is for a user's client, not for the user")
	remove := sarama.ClientQuotasOp{Key: "producer_byte_rate", Remove: true}
	require.NoError(t, admin.AlterClientQuotas(entity, remove, false))
	seen, err = admin.DescribeClientQuotas(filter, false)
	require.NoError(t, err)
	require.Empty(t, seen)
	require.Error(t, admin.AlterClientQuotas(entity, sarama.ClientQuotasOp{Key: "no_such_quota", Value: 1}, false))
}

func adminLogDirs(t *testing.T) {
	admin, topic := newAdmin(t), newTopic(t, 2)
	fill(t, topic, 0, 0, 100)
	all, err := admin.DescribeLogDirs([]int32{1})
	require.NoError(t, err)
	require.Len(t, all[1], 1)
	folder := all[1][0]
	require.Equal(t, sarama.ErrNoError, folder.ErrorCode)
	require.Positive(t, folder.UsableBytes)
	require.GreaterOrEqual(t, folder.TotalBytes, folder.UsableBytes)
	for _, held := range folder.Topics {
		if held.Topic == topic {
			require.Len(t, held.Partitions, 2)
			return
		}
	}
	require.Fail(t, "the topic is in no folder")
}

func adminCluster(t *testing.T) {
	admin := newAdmin(t)
	all, controller, err := admin.DescribeCluster()
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.EqualValues(t, 1, controller)
	require.EqualValues(t, 1, all[0].ID())
	require.Equal(t, brokers()[0], all[0].Addr())
	found, err := admin.Controller()
	require.NoError(t, err)
	require.EqualValues(t, 1, found.ID())
}

func adminNothingToDo(t *testing.T) {
	admin, topic := newAdmin(t), newTopic(t, 2)
	elected, err := admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0, 1}})
	require.NoError(t, err)
	require.Equal(t, sarama.ErrElectionNotNeeded, elected[topic][1].ErrorCode)
	require.NoError(t, admin.AlterPartitionReassignments(topic, [][]int32{{1}, {1}}))
	require.Error(t, admin.AlterPartitionReassignments(topic, [][]int32{{1}, {99}}))
	moving, err := admin.ListPartitionReassignments(topic, []int32{0, 1})
	require.NoError(t, err)
	require.Empty(t, moving[topic])
}

func adminFeatures(t *testing.T) {
	admin := newAdmin(t)
	results, err := admin.UpdateFeatures([]sarama.FeatureUpdate{{Feature: "group.version", MaxVersionLevel: 99}})
	if err == nil {
		require.Len(t, results, 1)
		err = results[0].ErrorCode
	}
	require.ErrorIs(t, err, sarama.ErrInvalidUpdateVersion)
}
