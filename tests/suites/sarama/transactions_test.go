//go:build functional

package sarama_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

func TestOursTransactions(t *testing.T) {
	t.Run("committed messages are read, aborted ones are not", committedAndAborted)
	t.Run("a group's offsets are part of a transaction", offsetsAreAPart)
	t.Run("a second producer of the same name puts an end to the first", secondOneFences)
	t.Run("a transaction outlasts the broker, which is killed", outlastsTheBroker)
	t.Run("what is read and written on the way is each once, though the broker is killed", readProcessWrite)
}

func transactional(id string) *sarama.Config {
	config := manual()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = id
	config.Producer.Transaction.Retry.Max = 200
	config.Net.MaxOpenRequests = 1
	return config
}

func send(t *testing.T, producer sarama.SyncProducer, topic, value string) {
	t.Helper()
	message := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)}
	_, _, err := producer.SendMessage(message)
	require.NoError(t, err)
}

func committedAndAborted(t *testing.T) {
	topic := newTopic(t, 1)
	producer := newProducer(t, transactional(named("id")))
	require.True(t, producer.IsTransactional())
	for at := range 6 {
		require.NoError(t, producer.BeginTxn())
		send(t, producer, topic, fmt.Sprint("one of ", at))
		send(t, producer, topic, fmt.Sprint("two of ", at))
		if at%2 == 0 {
			require.NoError(t, producer.CommitTxn())
		} else {
			require.NoError(t, producer.AbortTxn())
		}
		require.NotZero(t, producer.TxnStatus()&sarama.ProducerTxnFlagReady)
	}
	committed := readFrom(t, topic, 0, sarama.OffsetOldest, sarama.ReadCommitted)
	require.Equal(t, []string{
		"one of 0", "two of 0", "one of 2", "two of 2", "one of 4", "two of 4",
	}, values(committed))
	// Each transaction's marker takes an offset.
	require.EqualValues(t, 13, committed[5].Offset)
	require.Len(t, readFrom(t, topic, 0, sarama.OffsetOldest, sarama.ReadUncommitted), 12)
}

func offsetOf(t *testing.T, group, topic string) int64 {
	t.Helper()
	answer, err := newAdmin(t).ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	require.NoError(t, err)
	require.Equal(t, sarama.ErrNoError, answer.Err)
	return answer.GetBlock(topic, 0).Offset
}

func offsetsAreAPart(t *testing.T) {
	topic, group := newTopic(t, 1), named("group")
	producer := newProducer(t, transactional(named("id")))
	offsets := func(offset int64) map[string][]*sarama.PartitionOffsetMetadata {
		return map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: offset}}}
	}
	require.NoError(t, producer.BeginTxn())
	send(t, producer, topic, "message")
	require.NoError(t, producer.AddOffsetsToTxn(offsets(7), group))
	require.NoError(t, producer.CommitTxn())
	require.EqualValues(t, 7, offsetOf(t, group, topic))
	require.NoError(t, producer.BeginTxn())
	send(t, producer, topic, "another")
	require.NoError(t, producer.AddOffsetsToTxn(offsets(9), group))
	require.NoError(t, producer.AbortTxn())
	require.EqualValues(t, 7, offsetOf(t, group, topic))
}

func secondOneFences(t *testing.T) {
	topic, id := newTopic(t, 1), named("id")
	first := newProducer(t, transactional(id))
	require.NoError(t, first.BeginTxn())
	send(t, first, topic, "of the first")
	second := newProducer(t, transactional(id))
	require.NoError(t, second.BeginTxn())
	send(t, second, topic, "of the second")
	require.NoError(t, second.CommitTxn())
	err := first.CommitTxn()
	fenced := errors.Is(err, sarama.ErrInvalidProducerEpoch) || errors.Is(err, sarama.ErrProducerFenced)
	require.True(t, fenced, "%v", err)
	require.NotZero(t, first.TxnStatus()&sarama.ProducerTxnFlagInError)
	read := readFrom(t, topic, 0, sarama.OffsetOldest, sarama.ReadCommitted)
	require.Equal(t, []string{"of the second"}, values(read))
}

func outlastsTheBroker(t *testing.T) {
	topic := newTopic(t, 1)
	producer := newProducer(t, transactional(named("id")))
	require.NoError(t, producer.BeginTxn())
	send(t, producer, topic, "before")
	restart(t)
	send(t, producer, topic, "after")
	require.NoError(t, producer.CommitTxn())
	read := readFrom(t, topic, 0, sarama.OffsetOldest, sarama.ReadCommitted)
	require.Equal(t, []string{"before", "after"}, values(read))
}

// Copies a topic in transactions, which hold the offsets of what they copy.
func readProcessWrite(t *testing.T) {
	input, output, group := newTopic(t, 1), newTopic(t, 1), named("group")
	fill(t, input, 0, 0, 300)
	config := settings()
	config.Consumer.Offsets.AutoCommit.Enable = false
	copier := join(t, group, config, input)
	copier.marks = false
	// All of them now: a session that ends with the broker's would begin again with what is committed.
	var read []*sarama.ConsumerMessage
	for range 300 {
		read = append(read, next(t, copier.read))
	}
	producer := newProducer(t, transactional(named("id")))
	for at := range 30 {
		require.NoError(t, producer.BeginTxn())
		for _, message := range read[at*10 : at*10+10] {
			send(t, producer, output, string(message.Value))
			require.NoError(t, producer.AddMessageToTxn(message, group, nil))
		}
		if at == 15 {
			restart(t)
		}
		require.NoError(t, producer.CommitTxn())
	}
	require.EqualValues(t, 300, offsetOf(t, group, input))
	written := readFrom(t, output, 0, sarama.OffsetOldest, sarama.ReadCommitted)
	require.Equal(t, numbers(0, 300), values(written))
}
