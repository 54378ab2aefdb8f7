//go:build functional

// What the tests of ours share, which use the client as its users do. They come beside its own, which
// leave out topics' and users' administration, logins, TLS, and a broker that is killed.

package sarama_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// How long anything may take: long enough for a busy machine.
const patience = 2 * time.Minute

var nextName atomic.Int32

// A name that no other test uses.
func named(stem string) string {
	return fmt.Sprintf("%s-%d-%d", stem, time.Now().UnixNano(), nextName.Add(1))
}

func brokers() []string {
	return sarama.FunctionalTestEnv.KafkaBrokerAddrs
}

// Of a client that is patient: its requests outlast a broker that is killed and started again.
func settings() *sarama.Config {
	config := sarama.NewFunctionalTestConfig()
	config.ClientID = "entrepot"
	config.Metadata.Retry.Max = 200
	config.Metadata.Retry.Backoff = 250 * time.Millisecond
	config.Admin.Retry.Max = 200
	config.Admin.Retry.Backoff = 250 * time.Millisecond
	config.Admin.Timeout = 30 * time.Second
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Retry.Max = 200
	config.Producer.Retry.Backoff = 250 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Retry.Backoff = 250 * time.Millisecond
	config.Consumer.Group.Rebalance.Retry.Max = 200
	config.Consumer.Group.Rebalance.Retry.Backoff = 250 * time.Millisecond
	return config
}

func newAdmin(t *testing.T) sarama.ClusterAdmin {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(brokers(), settings())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, admin.Close()) })
	return admin
}

func newClient(t *testing.T, config *sarama.Config) sarama.Client {
	t.Helper()
	client, err := sarama.NewClient(brokers(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newTopic(t *testing.T, partitions int32) string {
	t.Helper()
	topic := named("topic")
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}
	require.NoError(t, newAdmin(t).CreateTopic(topic, detail, false))
	return topic
}

func newProducer(t *testing.T, config *sarama.Config) sarama.SyncProducer {
	t.Helper()
	producer, err := sarama.NewSyncProducer(brokers(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = producer.Close() })
	return producer
}

// Sends `from` to `to` as text, in order, to one partition.
func fill(t *testing.T, topic string, partition int32, from, to int) {
	t.Helper()
	config := settings()
	config.Producer.Partitioner = sarama.NewManualPartitioner
	var messages []*sarama.ProducerMessage
	for at := from; at < to; at++ {
		messages = append(messages, &sarama.ProducerMessage{
			Topic: topic, Partition: partition, Value: sarama.StringEncoder(strconv.Itoa(at)),
		})
	}
	require.NoError(t, newProducer(t, config).SendMessages(messages))
}

// Every message of a partition from an offset to its end, which may be one that only this level sees.
func readFrom(t *testing.T, topic string, partition int32, offset int64, level sarama.IsolationLevel) []*sarama.ConsumerMessage {
	t.Helper()
	config := settings()
	config.Consumer.IsolationLevel = level
	// Behind the last message, so that what must not come is not overlooked.
	fence := named("end")
	_, end, err := newProducer(t, manual()).SendMessage(&sarama.ProducerMessage{
		Topic: topic, Partition: partition, Key: sarama.StringEncoder("end"), Value: sarama.StringEncoder(fence),
	})
	require.NoError(t, err)
	consumer, err := sarama.NewConsumer(brokers(), config)
	require.NoError(t, err)
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, partition, offset)
	require.NoError(t, err)
	defer reader.Close()
	var all []*sarama.ConsumerMessage
	for {
		message := next(t, reader.Messages())
		if string(message.Value) == fence {
			require.Equal(t, end, message.Offset)
			return all
		}
		if string(message.Key) != "end" {
			all = append(all, message)
		}
	}
}

func manual() *sarama.Config {
	config := settings()
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}

func values(messages []*sarama.ConsumerMessage) []string {
	all := []string{}
	for _, message := range messages {
		all = append(all, string(message.Value))
	}
	return all
}

func numbers(from, to int) []string {
	all := []string{}
	for at := from; at < to; at++ {
		all = append(all, strconv.Itoa(at))
	}
	return all
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case one, open := <-from:
		require.True(t, open, "nothing more comes")
		return one
	case <-time.After(patience):
		require.FailNow(t, "nothing came in time")
		panic("unreachable")
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(100 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "it never came to be that %s", what)
	}
}

func restart(t *testing.T) {
	t.Helper()
	require.NoError(t, sarama.RestartBroker())
}

func text(text string) *string {
	return &text
}

// A member of a group, which says what it is given and what it reads.
type member struct {
	group    sarama.ConsumerGroup
	sessions chan sarama.ConsumerGroupSession
	read     chan *sarama.ConsumerMessage
	failed   chan error
	stop     context.CancelFunc
	ended    chan struct{}
	marks    bool
}

func join(t *testing.T, group string, config *sarama.Config, topics ...string) *member {
	t.Helper()
	joined, err := sarama.NewConsumerGroup(brokers(), group, config)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	m := &member{
		group: joined, stop: stop, marks: true, ended: make(chan struct{}),
		sessions: make(chan sarama.ConsumerGroupSession, 1000),
		read:     make(chan *sarama.ConsumerMessage, 100_000), failed: make(chan error, 1),
	}
	go func() {
		defer close(m.ended)
		for ctx.Err() == nil {
			if err := joined.Consume(ctx, topics, m); err != nil && ctx.Err() == nil {
				select {
				case m.failed <- err:
				default:
				}
				// As its users do: it may join again.
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	t.Cleanup(func() { m.leave(t) })
	return m
}

// Leaves the group, having committed what it marked. More than once does no harm.
func (m *member) leave(t *testing.T) {
	t.Helper()
	m.stop()
	next := time.After(patience)
	select {
	case <-m.ended:
	case <-next:
		require.FailNow(t, "a member does not stop")
	}
	_ = m.group.Close()
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.sessions <- session
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.read <- message
			if m.marks {
				session.MarkMessage(message, "seen")
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

// Waits until the member has read so many messages, and returns them by value with how often each came.
func (m *member) take(t *testing.T, count int, into map[string]int) {
	t.Helper()
	for range count {
		into[string(next(t, m.read).Value)]++
	}
}
