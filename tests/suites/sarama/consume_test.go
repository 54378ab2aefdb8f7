//go:build functional

package sarama_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

func TestOursConsume(t *testing.T) {
	t.Run("offsets are found by time", offsetsByTime)
	t.Run("an offset that is not there is told", outOfRange)
	t.Run("a consumer pauses and goes on", pauses)
	t.Run("a consumer goes on where it was, though the broker is killed", consumesThroughRestart)
	t.Run("new partitions are found", newPartitions)
}

func TestOursGroups(t *testing.T) {
	strategies := []func() sarama.BalanceStrategy{
		sarama.NewBalanceStrategyRange, sarama.NewBalanceStrategyRoundRobin,
		sarama.NewBalanceStrategySticky, sarama.NewBalanceStrategyCooperativeSticky,
	}
	for _, strategy := range strategies {
		name := strategy().Name()
		t.Run(fmt.Sprintf("strategy %s: members share, and take over", name), func(t *testing.T) {
			membersShare(t, strategy)
		})
	}
	t.Run("a static member comes back to what it had, and nobody else notices", staticMember)
	t.Run("a static member is removed by an administrator", staticMemberRemoved)
	t.Run("what is not marked is delivered again", unmarked)
	t.Run("offsets carry metadata, and can be set back", offsetsSetBack)
	t.Run("members go on after the broker is killed, and nothing is lost", groupThroughRestart)
}

func offsetsByTime(t *testing.T) {
	topic := newTopic(t, 1)
	producer := newProducer(t, settings())
	began := time.Now().Add(-30 * time.Minute).Truncate(time.Second)
	for at := range 10 {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{
			Topic: topic, Timestamp: began.Add(time.Duration(at) * time.Minute),
		})
		require.NoError(t, err)
	}
	client := newClient(t, settings())
	for asked, wanted := range map[int64]int64{
		sarama.OffsetOldest: 0, sarama.OffsetNewest: 10, began.UnixMilli(): 0,
		began.Add(150 * time.Second).UnixMilli(): 3, began.Add(time.Hour).UnixMilli(): -1,
	} {
		found, err := client.GetOffset(topic, 0, asked)
		require.NoError(t, err)
		require.Equal(t, wanted, found, "offset for %d", asked)
	}
}

func outOfRange(t *testing.T) {
	topic := newTopic(t, 1)
	fill(t, topic, 0, 0, 5)
	consumer, err := sarama.NewConsumer(brokers(), settings())
	require.NoError(t, err)
	defer consumer.Close()
	_, err = consumer.ConsumePartition(topic, 0, 100)
	require.ErrorIs(t, err, sarama.ErrOffsetOutOfRange)
}

func pauses(t *testing.T) {
	topic := newTopic(t, 1)
	fill(t, topic, 0, 0, 1)
	consumer, err := sarama.NewConsumer(brokers(), settings())
	require.NoError(t, err)
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	require.NoError(t, err)
	defer reader.Close()
	require.Equal(t, "0", string(next(t, reader.Messages()).Value))
	reader.Pause()
	require.True(t, reader.IsPaused())
	fill(t, topic, 0, 1, 20)
	reader.Resume()
	for _, wanted := range numbers(1, 20) {
		require.Equal(t, wanted, string(next(t, reader.Messages()).Value))
	}
	require.EqualValues(t, 20, reader.HighWaterMarkOffset())
}

func consumesThroughRestart(t *testing.T) {
	topic := newTopic(t, 1)
	fill(t, topic, 0, 0, 100)
	consumer, err := sarama.NewConsumer(brokers(), settings())
	require.NoError(t, err)
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	require.NoError(t, err)
	defer reader.Close()
	for _, wanted := range numbers(0, 100) {
		require.Equal(t, wanted, string(next(t, reader.Messages()).Value))
	}
	restart(t)
	fill(t, topic, 0, 100, 200)
	for _, wanted := range numbers(100, 200) {
		require.Equal(t, wanted, string(next(t, reader.Messages()).Value))
	}
}

func newPartitions(t *testing.T) {
	topic := newTopic(t, 1)
	client := newClient(t, settings())
	found, err := client.Partitions(topic)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, newAdmin(t).CreatePartitions(topic, 4, nil, false))
	require.NoError(t, client.RefreshMetadata(topic))
	found, err = client.WritablePartitions(topic)
	require.NoError(t, err)
	require.Len(t, found, 4)
}

func with(strategy sarama.BalanceStrategy) *sarama.Config {
	config := settings()
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	return config
}

func described(t *testing.T, group string) *sarama.GroupDescription {
	t.Helper()
	groups, err := newAdmin(t).DescribeConsumerGroups([]string{group})
	require.NoError(t, err)
	require.Len(t, groups, 1)
	return groups[0]
}

// Waits until a group has so many members, each of them with partitions.
func untilShared(t *testing.T, group string, members int) {
	t.Helper()
	eventually(t, fmt.Sprint(members, " members share the partitions"), func() bool {
		seen := described(t, group)
		if seen.State != "Stable" || len(seen.Members) != members {
			return false
		}
		for _, one := range seen.Members {
			assigned, err := one.GetMemberAssignment()
			if err != nil || assigned == nil || len(assigned.Topics) == 0 {
				return false
			}
		}
		return true
	})
}

func membersShare(t *testing.T, strategy func() sarama.BalanceStrategy) {
	topic, group := newTopic(t, 6), named("group")
	first := join(t, group, with(strategy()), topic)
	second := join(t, group, with(strategy()), topic)
	third := join(t, group, with(strategy()), topic)
	untilShared(t, group, 3)
	for partition := range int32(6) {
		fill(t, topic, partition, int(partition)*100, int(partition)*100+100)
	}
	seen := map[string]int{}
	first.take(t, 200, seen)
	second.take(t, 200, seen)
	third.take(t, 200, seen)
	require.Len(t, seen, 600)
	third.leave(t)
	untilShared(t, group, 2)
	for partition := range int32(6) {
		fill(t, topic, partition, 1000+int(partition)*10, 1000+int(partition)*10+10)
	}
	first.take(t, 30, seen)
	second.take(t, 30, seen)
	require.Len(t, seen, 660)
	for value, times := range seen {
		require.Equal(t, 1, times, "message %s", value)
	}
}

func staticMember(t *testing.T) {
	topic, group := newTopic(t, 2), named("group")
	static := func(id string) *sarama.Config {
		config := with(sarama.NewBalanceStrategySticky())
		config.Consumer.Group.InstanceId = id
		config.Consumer.Group.Session.Timeout = time.Minute
		return config
	}
	stays := join(t, group, static("stays"), topic)
	leaves := join(t, group, static("leaves"), topic)
	untilShared(t, group, 2)
	last := func(m *member) (session sarama.ConsumerGroupSession) {
		session = next(t, m.sessions)
		for len(m.sessions) > 0 {
			session = next(t, m.sessions)
		}
		return session
	}
	had, generation := last(leaves).Claims(), last(stays).GenerationID()
	leaves.leave(t)
	require.Len(t, described(t, group).Members, 2)
	back := join(t, group, static("leaves"), topic)
	session := last(back)
	require.Equal(t, had, session.Claims())
	require.Equal(t, generation, session.GenerationID())
	require.Empty(t, stays.sessions, "the other was not disturbed")
}

func staticMemberRemoved(t *testing.T) {
	topic, group := newTopic(t, 1), named("group")
	config := with(sarama.NewBalanceStrategyRange())
	config.Consumer.Group.InstanceId = "one"
	config.Consumer.Group.Session.Timeout = time.Minute
	one := join(t, group, config, topic)
	untilShared(t, group, 1)
	one.leave(t)
	answer, err := newAdmin(t).RemoveMemberFromConsumerGroup(group, []string{"one"})
	require.NoError(t, err)
	require.Equal(t, sarama.ErrNoError, answer.Err)
	require.Empty(t, described(t, group).Members)
}

func unmarked(t *testing.T) {
	topic, group := newTopic(t, 1), named("group")
	fill(t, topic, 0, 0, 10)
	for range 2 {
		m := join(t, group, with(sarama.NewBalanceStrategyRange()), topic)
		m.marks = false
		seen := map[string]int{}
		m.take(t, 10, seen)
		require.Len(t, seen, 10)
		m.leave(t)
	}
}

func offsetsSetBack(t *testing.T) {
	topic, group := newTopic(t, 1), named("group")
	fill(t, topic, 0, 0, 10)
	client := newClient(t, settings())
	manager, err := sarama.NewOffsetManagerFromClient(group, client)
	require.NoError(t, err)
	partition, err := manager.ManagePartition(topic, 0)
	require.NoError(t, err)
	partition.MarkOffset(8, "eight")
	manager.Commit()
	partition.ResetOffset(5, "five")
	manager.Commit()
	offset, metadata := partition.NextOffset()
	require.EqualValues(t, 5, offset)
	require.Equal(t, "five", metadata)
	require.NoError(t, partition.Close())
	require.NoError(t, manager.Close())
	m := join(t, group, with(sarama.NewBalanceStrategyRange()), topic)
	for _, wanted := range numbers(5, 10) {
		require.Equal(t, wanted, string(next(t, m.read).Value))
	}
}

func groupThroughRestart(t *testing.T) {
	topic, group := newTopic(t, 4), named("group")
	one := join(t, group, with(sarama.NewBalanceStrategyRoundRobin()), topic)
	two := join(t, group, with(sarama.NewBalanceStrategyRoundRobin()), topic)
	untilShared(t, group, 2)
	for partition := range int32(4) {
		fill(t, topic, partition, int(partition)*1000, int(partition)*1000+50)
	}
	seen := map[string]int{}
	one.take(t, 100, seen)
	two.take(t, 100, seen)
	restart(t)
	for partition := range int32(4) {
		fill(t, topic, partition, int(partition)*1000+50, int(partition)*1000+100)
	}
	// Whoever is thrown out by the time the broker is back may be given again what it did not commit.
	for deadline := time.After(patience); len(seen) < 400; {
		select {
		case message := <-one.read:
			seen[string(message.Value)]++
		case message := <-two.read:
			seen[string(message.Value)]++
		case <-deadline:
			require.FailNow(t, "lost", "%d of 400 came", len(seen))
		}
	}
	one.leave(t)
	two.leave(t)
	client := newClient(t, settings())
	manager, err := sarama.NewOffsetManagerFromClient(group, client)
	require.NoError(t, err)
	defer manager.Close()
	for partition := range int32(4) {
		managed, err := manager.ManagePartition(topic, partition)
		require.NoError(t, err)
		offset, metadata := managed.NextOffset()
		require.EqualValues(t, 100, offset)
		require.Equal(t, "seen", metadata)
		require.NoError(t, managed.Close())
	}
}
