//go:build functional

// Stands in for the client's functional_test.go, which expects five brokers in containers: here its
// tests find one broker, behind a proxy that can be told to fail as theirs can.

package sarama

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/IBM/sarama/internal/toxiproxy"
)

const uncommittedTopic = "uncommitted-topic-test-4"

// What the tests share. A message is stored once here, so there is one replica of each.
var testTopicDetails = map[string]*TopicDetail{
	"test.1":         {NumPartitions: 1, ReplicationFactor: 1},
	"test.4":         {NumPartitions: 4, ReplicationFactor: 1},
	"test.64":        {NumPartitions: 64, ReplicationFactor: 1},
	"test.1_to_2":    {NumPartitions: 1, ReplicationFactor: 1},
	uncommittedTopic: {NumPartitions: 1, ReplicationFactor: 1},
}

type testEnvironment struct {
	ToxiproxyClient  *toxiproxy.Client
	Proxies          map[string]*toxiproxy.Proxy
	KafkaBrokerAddrs []string
	KafkaVersion     string
	UsingExisting    bool
}

var FunctionalTestEnv *testEnvironment

func TestMain(m *testing.M) {
	proxies := newProxies()
	server := httptest.NewServer(proxies)
	if err := prepare(server.URL); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func prepare(endpoint string) error {
	listen := os.Getenv("SARAMA_PROXY")
	client := toxiproxy.NewClient(endpoint)
	proxy, err := client.CreateProxy("kafka1", listen, os.Getenv("SARAMA_BROKER"))
	if err != nil {
		return err
	}
	FunctionalTestEnv = &testEnvironment{
		ToxiproxyClient:  client,
		Proxies:          map[string]*toxiproxy.Proxy{"kafka1": proxy},
		KafkaBrokerAddrs: []string{listen},
		KafkaVersion:     os.Getenv("KAFKA_VERSION"),
		UsingExisting:    true,
	}
	admin, err := NewClusterAdmin(FunctionalTestEnv.KafkaBrokerAddrs, NewFunctionalTestConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	there, err := admin.ListTopics()
	if err != nil {
		return err
	}
	for topic, detail := range testTopicDetails {
		if _, made := there[topic]; made {
			continue
		}
		if err := admin.CreateTopic(topic, detail, false); err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	return nil
}

func NewFunctionalTestConfig() *Config {
	config := NewConfig()
	config.Version = MaxVersion
	return config
}

func skipIfExistingEnvironment(t *testing.T) {
	t.Helper()
	if FunctionalTestEnv.UsingExisting {
		t.Skip("it runs a command in the broker's container")
	}
}

// The only broker: it is killed and started again, where theirs leaves the others to take over.
func stopDockerTestBroker(_ context.Context, brokerID int32) error {
	if brokerID != 1 {
		return fmt.Errorf("there is no broker %d", brokerID)
	}
	return restartBroker()
}

// For the tests of ours, which are a package of their own.
var RestartBroker = restartBroker

func startDockerTestBroker(context.Context, int32) error {
	return nil
}

var answers = bufio.NewReader(os.Stdin)

// Asks the program that started this one, which also started the broker, to kill it and start it again.
func restartBroker() error {
	fmt.Println(`{"event": "broker", "do": "restart"}`)
	answer, err := answers.ReadString('\n')
	if err == nil && answer != "done\n" {
		err = fmt.Errorf("asked for a restart and was told %q", answer)
	}
	return err
}

func checkKafkaVersion(t testing.TB, least string) {
	t.Helper()
	if !parseKafkaVersion(FunctionalTestEnv.KafkaVersion).satisfies(parseKafkaVersion(least)) {
		t.Skipf("it needs Kafka %s", least)
	}
}

type kafkaVersion []int

func (v kafkaVersion) satisfies(least kafkaVersion) bool {
	for at, wanted := range least {
		has := 0
		if at < len(v) {
			has = v[at]
		}
		if has != wanted {
			return has > wanted
		}
	}
	return true
}

func parseKafkaVersion(text string) kafkaVersion {
	var version kafkaVersion
	number := 0
	for _, char := range text + "." {
		if char == '.' {
			version = append(version, number)
			number = 0
		} else {
			number = number*10 + int(char-'0')
		}
	}
	return version
}

func proxyForBrokerID(t testing.TB, brokerID int32) *toxiproxy.Proxy {
	t.Helper()
	proxy := FunctionalTestEnv.Proxies[fmt.Sprintf("kafka%d", brokerID)]
	if proxy == nil {
		t.Fatalf("there is no broker %d", brokerID)
	}
	return proxy
}

func addResetPeerToxic(t testing.TB, proxy *toxiproxy.Proxy) {
	t.Helper()
	if _, err := proxy.AddToxic("reset-peer", "reset_peer", "downstream", 1, nil); err != nil {
		t.Fatal(err)
	}
}

func SaveProxy(t *testing.T, name string) {
	t.Helper()
	if _, err := FunctionalTestEnv.Proxies[name].Save(); err != nil {
		t.Fatal(err)
	}
}

func resetProxies(t testing.TB) {
	t.Helper()
	if err := FunctionalTestEnv.ToxiproxyClient.ResetState(); err != nil {
		t.Fatal(err)
	}
}

func setupFunctionalTest(t testing.TB) {
	t.Helper()
	resetProxies(t)
	ensureFullyReplicated(t, time.Minute, time.Second)
}

func teardownFunctionalTest(t testing.TB) {
	t.Helper()
	resetProxies(t)
}

// Waits until the broker answers: a test before may have had it killed.
func ensureFullyReplicated(t testing.TB, within, pause time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(pause) {
		client, err := NewClient(FunctionalTestEnv.KafkaBrokerAddrs, NewFunctionalTestConfig())
		if err == nil {
			client.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broker does not answer: %v", err)
		}
	}
}
