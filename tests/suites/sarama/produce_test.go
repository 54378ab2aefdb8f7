//go:build functional

package sarama_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

func TestOursProduce(t *testing.T) {
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy,
		sarama.CompressionLZ4, sarama.CompressionZSTD,
	} {
		for acks, name := range map[sarama.RequiredAcks]string{
			sarama.NoResponse: "none", sarama.WaitForLocal: "one", sarama.WaitForAll: "all",
		} {
			t.Run(fmt.Sprintf("codec %s, acks %s: messages come whole", codec, name), func(t *testing.T) {
				messagesComeWhole(t, codec, acks)
			})
		}
	}
	t.Run("many at once stay in order within their partition", manyStayInOrder)
	t.Run("a key stays with its partition", aKeyStays)
	t.Run("a message that is too large is refused", tooLarge)
	t.Run("a topic that is not there is refused", notThere)
	t.Run("idempotent: each once and in order, though the broker is killed", exactlyOnce)
	t.Run("not idempotent: at least once, though the broker is killed", atLeastOnce)
}

func messagesComeWhole(t *testing.T, codec sarama.CompressionCodec, acks sarama.RequiredAcks) {
	topic := newTopic(t, 1)
	config := settings()
	config.Producer.Compression = codec
	config.Producer.RequiredAcks = acks
	// In the past, but not so far that it is beyond what a topic keeps.
	began := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	var messages []*sarama.ProducerMessage
	for at := range 200 {
		messages = append(messages, &sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder(fmt.Sprint("key ", at)),
			Value:     sarama.StringEncoder(strings.Repeat(fmt.Sprint("value ", at), 20)),
			Headers:   []sarama.RecordHeader{{Key: []byte("number"), Value: []byte(strconv.Itoa(at))}},
			Timestamp: began.Add(time.Duration(at) * time.Millisecond),
		})
	}
	producer := newProducer(t, config)
	require.NoError(t, producer.SendMessages(messages))
	if acks == sarama.NoResponse {
		// Nobody said that they have arrived.
		client := newClient(t, settings())
		eventually(t, "all have arrived", func() bool {
			end, err := client.GetOffset(topic, 0, sarama.OffsetNewest)
			return err == nil && end == 200
		})
	}
	read := readFrom(t, topic, 0, sarama.OffsetOldest, sarama.ReadUncommitted)
	require.Len(t, read, 200)
	for at, message := range read {
		require.EqualValues(t, at, message.Offset)
		require.Equal(t, fmt.Sprint("key ", at), string(message.Key))
		require.Equal(t, strings.Repeat(fmt.Sprint("value ", at), 20), string(message.Value))
		require.Len(t, message.Headers, 1)
		require.Equal(t, "number", string(message.Headers[0].Key))
		require.Equal(t, strconv.Itoa(at), string(message.Headers[0].Value))
		require.True(t, messages[at].Timestamp.Equal(message.Timestamp), "its time is as it was given")
	}
}

func manyStayInOrder(t *testing.T) {
	topic := newTopic(t, 3)
	config := settings()
	config.Producer.Flush.Messages = 100
	config.Producer.Flush.Frequency = 10 * time.Millisecond
	config.Producer.Compression = sarama.CompressionLZ4
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewAsyncProducer(brokers(), config)
	require.NoError(t, err)
	go func() {
		for at := range 3000 {
			producer.Input() <- &sarama.ProducerMessage{
				Topic: topic, Key: sarama.StringEncoder(fmt.Sprint(at % 7)), Value: sarama.StringEncoder(strconv.Itoa(at)),
			}
		}
		producer.AsyncClose()
	}()
	ends := [3]int64{}
	for message := range producer.Successes() {
		ends[message.Partition] = max(ends[message.Partition], message.Offset+1)
	}
	for failed := range producer.Errors() {
		require.NoError(t, failed)
	}
	require.EqualValues(t, 3000, ends[0]+ends[1]+ends[2])
	for partition, end := range ends {
		last := -1
		read := readFrom(t, topic, int32(partition), 0, sarama.ReadUncommitted)
		require.EqualValues(t, end, len(read))
		for _, value := range values(read) {
			number, err := strconv.Atoi(value)
			require.NoError(t, err)
			require.Greater(t, number, last)
			last = number
		}
	}
}

func aKeyStays(t *testing.T) {
	topic := newTopic(t, 5)
	producer := newProducer(t, settings())
	homes := map[string]int32{}
	for at := range 100 {
		key := fmt.Sprint("key ", at%10)
		message := &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(key)}
		partition, _, err := producer.SendMessage(message)
		require.NoError(t, err)
		home, known := homes[key]
		require.True(t, !known || home == partition)
		homes[key] = partition
	}
}

func tooLarge(t *testing.T) {
	topic := newTopic(t, 1)
	config := settings()
	config.Producer.MaxMessageBytes = 4 << 20
	producer := newProducer(t, config)
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{
		Topic: topic, Value: sarama.ByteEncoder(make([]byte, 3<<20)),
	})
	require.ErrorIs(t, err, sarama.ErrMessageSizeTooLarge)
	_, offset, err := producer.SendMessage(&sarama.ProducerMessage{
		Topic: topic, Value: sarama.ByteEncoder(make([]byte, 1<<19)),
	})
	require.NoError(t, err)
	require.Zero(t, offset)
}

func notThere(t *testing.T) {
	config := settings()
	config.Metadata.Retry.Max = 1
	config.Producer.Retry.Max = 1
	producer := newProducer(t, config)
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: named("nowhere")})
	require.ErrorIs(t, err, sarama.ErrUnknownTopicOrPartition)
}

// Sends 2,000 messages to one partition, and has the broker killed on the way.
func sendThroughRestart(t *testing.T, config *sarama.Config) string {
	t.Helper()
	topic := newTopic(t, 1)
	producer, err := sarama.NewAsyncProducer(brokers(), config)
	require.NoError(t, err)
	halfway := make(chan bool, 1)
	go func() {
		for at := range 2000 {
			if at == 1000 {
				halfway <- true
			}
			producer.Input() <- &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(strconv.Itoa(at))}
		}
	}()
	stored := make(chan error, 1)
	go func() {
		for range 2000 {
			select {
			case <-producer.Successes():
			case failed := <-producer.Errors():
				stored <- failed
				return
			}
		}
		stored <- producer.Close()
	}()
	next(t, halfway)
	restart(t)
	require.NoError(t, next(t, stored))
	return topic
}

func exactlyOnce(t *testing.T) {
	config := settings()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Flush.MaxMessages = 20
	topic := sendThroughRestart(t, config)
	read := readFrom(t, topic, 0, sarama.OffsetOldest, sarama.ReadUncommitted)
	require.Equal(t, numbers(0, 2000), values(read))
}

func atLeastOnce(t *testing.T) {
	config := settings()
	config.Producer.Flush.MaxMessages = 20
	topic := sendThroughRestart(t, config)
	seen := map[string]bool{}
	for _, value := range values(readFrom(t, topic, 0, sarama.OffsetOldest, sarama.ReadUncommitted)) {
		seen[value] = true
	}
	require.Len(t, seen, 2000)
}
