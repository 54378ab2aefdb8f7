//go:build functional

package sarama_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// A second broker, with TLS, logins and access rules; `root` and the certificate's `alice` may do all.
func TestOursSecurity(t *testing.T) {
	t.Run("TLS: a client with a certificate is let in, one without is not", tlsWithCertificate)
	t.Run("users are added, described and deleted", usersAreAdded)
	mechanisms := []sarama.SASLMechanism{
		sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512,
	}
	for _, protocol := range []string{"SASL_SSL", "SASL_PLAINTEXT"} {
		for _, mechanism := range mechanisms {
			t.Run(fmt.Sprintf("%s, %s: the right password lets in, a wrong one does not", protocol, mechanism),
				func(t *testing.T) { passwords(t, protocol, mechanism) })
		}
		t.Run(fmt.Sprintf("%s, OAUTHBEARER: a token lets in", protocol), func(t *testing.T) { token(t, protocol) })
	}
	t.Run("access rules are made, listed and deleted, and are kept to", accessRules)
}

// Of a client that does not try again: a refusal is an answer.
func secured(t *testing.T, protocol string) (string, *sarama.Config) {
	t.Helper()
	config := settings()
	config.Metadata.Retry.Max = 1
	config.Admin.Retry.Max = 1
	config.Producer.Retry.Max = 1
	config.Net.TLS.Enable = strings.HasSuffix(protocol, "SSL")
	if config.Net.TLS.Enable {
		authority, err := os.ReadFile(os.Getenv("SARAMA_CA"))
		require.NoError(t, err)
		config.Net.TLS.Config = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
		require.True(t, config.Net.TLS.Config.RootCAs.AppendCertsFromPEM(authority))
	}
	return os.Getenv("SARAMA_" + protocol), config
}

func login(config *sarama.Config, mechanism sarama.SASLMechanism, user, password string) {
	config.Net.SASL.Enable = true
	config.Net.SASL.Mechanism = mechanism
	config.Net.SASL.User, config.Net.SASL.Password = user, password
	switch mechanism {
	case sarama.SASLTypeSCRAMSHA256:
		config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scram{hash: sha256.New} }
	case sarama.SASLTypeSCRAMSHA512:
		config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scram{hash: sha512.New} }
	}
}

// An administrator on the second broker.
func root(t *testing.T) sarama.ClusterAdmin {
	t.Helper()
	address, config := secured(t, "SASL_PLAINTEXT")
	login(config, sarama.SASLTypePlaintext, "root", "first secret")
	admin, err := sarama.NewClusterAdmin([]string{address}, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, admin.Close()) })
	return admin
}

func certificate(t *testing.T, config *sarama.Config) {
	t.Helper()
	file := os.Getenv("SARAMA_CERTIFICATE")
	shown, err := tls.LoadX509KeyPair(file, file)
	require.NoError(t, err)
	config.Net.TLS.Config.Certificates = []tls.Certificate{shown}
}

func makeTopic(t *testing.T) string {
	t.Helper()
	topic := named("topic")
	detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}
	require.NoError(t, root(t).CreateTopic(topic, detail, false))
	return topic
}

// Sends a message and reads it.
func worksWith(t *testing.T, address string, config *sarama.Config, topic string) {
	t.Helper()
	client, err := sarama.NewClient([]string{address}, config)
	require.NoError(t, err)
	defer client.Close()
	producer, err := sarama.NewSyncProducerFromClient(client)
	require.NoError(t, err)
	value := named("value")
	_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
	require.NoError(t, err)
	consumer, err := sarama.NewConsumerFromClient(client)
	require.NoError(t, err)
	reader, err := consumer.ConsumePartition(topic, 0, offset)
	require.NoError(t, err)
	require.Equal(t, value, string(next(t, reader.Messages()).Value))
	require.NoError(t, reader.Close())
	require.NoError(t, producer.Close())
}

func tlsWithCertificate(t *testing.T) {
	topic := makeTopic(t)
	address, config := secured(t, "SSL")
	_, err := sarama.NewClient([]string{address}, config)
	require.Error(t, err)
	certificate(t, config)
	worksWith(t, address, config, topic)
}

func addUser(t *testing.T, name, password string) {
	t.Helper()
	var wanted []sarama.AlterUserScramCredentialsUpsert
	for _, mechanism := range []sarama.ScramMechanismType{
		sarama.SCRAM_MECHANISM_SHA_256, sarama.SCRAM_MECHANISM_SHA_512,
	} {
		salt := make([]byte, 20)
		_, err := rand.Read(salt)
		require.NoError(t, err)
		wanted = append(wanted, sarama.AlterUserScramCredentialsUpsert{
			Name: name, Mechanism: mechanism, Iterations: 4096, Salt: salt, Password: []byte(password),
		})
	}
	results, err := root(t).UpsertUserScramCredentials(wanted)
	require.NoError(t, err)
	for _, result := range results {
		require.Equal(t, sarama.ErrNoError, result.ErrorCode)
	}
}

func usersAreAdded(t *testing.T) {
	admin, user := root(t), named("user")
	addUser(t, user, "a secret")
	seen, err := admin.DescribeUserScramCredentials([]string{user})
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.Equal(t, sarama.ErrNoError, seen[0].ErrorCode)
	require.Len(t, seen[0].CredentialInfos, 2)
	require.EqualValues(t, 4096, seen[0].CredentialInfos[0].Iterations)
	gone := []sarama.AlterUserScramCredentialsDelete{
		{Name: user, Mechanism: sarama.SCRAM_MECHANISM_SHA_256},
		{Name: user, Mechanism: sarama.SCRAM_MECHANISM_SHA_512},
	}
	const notFound = sarama.KError(91) // RESOURCE_NOT_FOUND
	for _, wanted := range []sarama.KError{sarama.ErrNoError, notFound} {
		results, err := admin.DeleteUserScramCredentials(gone)
		require.NoError(t, err)
		for _, result := range results {
			require.Equal(t, wanted, result.ErrorCode)
		}
	}
}

func passwords(t *testing.T, protocol string, mechanism sarama.SASLMechanism) {
	topic, user := makeTopic(t), named("user")
	addUser(t, user, "its secret")
	allow(t, user, topic, sarama.AclOperationAll)
	address, config := secured(t, protocol)
	login(config, mechanism, user, "its secret")
	worksWith(t, address, config, topic)
	address, config = secured(t, protocol)
	login(config, mechanism, user, "another")
	_, err := sarama.NewClient([]string{address}, config)
	require.ErrorIs(t, err, sarama.ErrSASLAuthenticationFailed)
}

type bearer string

func (b bearer) Token() (*sarama.AccessToken, error) {
	part := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"sub": %q, "iat": %d, "exp": %d}`, string(b),
		time.Now().Add(-time.Minute).Unix(), time.Now().Add(time.Hour).Unix())
	return &sarama.AccessToken{Token: part([]byte(`{"alg": "none"}`)) + "." + part([]byte(claims)) + "."}, nil
}

func token(t *testing.T, protocol string) {
	topic, user := makeTopic(t), named("user")
	allow(t, user, topic, sarama.AclOperationAll)
	address, config := secured(t, protocol)
	config.Net.SASL.Enable = true
	config.Net.SASL.Mechanism = sarama.SASLTypeOAuth
	config.Net.SASL.TokenProvider = bearer(user)
	worksWith(t, address, config, topic)
}

func allow(t *testing.T, user, topic string, operation sarama.AclOperation) {
	t.Helper()
	resource := sarama.Resource{
		ResourceType: sarama.AclResourceTopic, ResourceName: topic, ResourcePatternType: sarama.AclPatternLiteral,
	}
	rule := sarama.Acl{
		Principal: "User:" + user, Host: "*", Operation: operation, PermissionType: sarama.AclPermissionAllow,
	}
	require.NoError(t, root(t).CreateACL(resource, rule))
}

func accessRules(t *testing.T) {
	admin, topic, user := root(t), makeTopic(t), named("user")
	addUser(t, user, "its secret")
	address, config := secured(t, "SASL_SSL")
	login(config, sarama.SASLTypeSCRAMSHA512, user, "its secret")
	client, err := sarama.NewClient([]string{address}, config)
	require.NoError(t, err)
	defer client.Close()
	produce := func() error {
		producer, err := sarama.NewSyncProducerFromClient(client)
		require.NoError(t, err)
		defer producer.Close()
		_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: topic})
		return err
	}
	require.ErrorIs(t, produce(), sarama.ErrTopicAuthorizationFailed)
	resource := sarama.Resource{
		ResourceType: sarama.AclResourceTopic, ResourceName: topic, ResourcePatternType: sarama.AclPatternLiteral,
	}
	rule := func(operation sarama.AclOperation) *sarama.Acl {
		return &sarama.Acl{
			Principal: "User:" + user, Host: "*", Operation: operation, PermissionType: sarama.AclPermissionAllow,
		}
	}
	rules := []*sarama.Acl{rule(sarama.AclOperationWrite), rule(sarama.AclOperationDescribe)}
	require.NoError(t, admin.CreateACLs([]*sarama.ResourceAcls{{Resource: resource, Acls: rules}}))
	require.NoError(t, client.RefreshMetadata())
	require.NoError(t, produce())
	filter := sarama.AclFilter{
		ResourceType: sarama.AclResourceTopic, ResourceName: &topic,
		ResourcePatternTypeFilter: sarama.AclPatternMatch, Operation: sarama.AclOperationAny,
		PermissionType: sarama.AclPermissionAny,
	}
	listed, err := admin.ListAcls(filter)
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.Equal(t, resource, listed[0].Resource)
	require.ElementsMatch(t, rules, listed[0].Acls)
	filter.Operation = sarama.AclOperationWrite
	deleted, err := admin.DeleteACL(filter, false)
	require.NoError(t, err)
	require.Len(t, deleted, 1)
	require.Equal(t, *rules[0], deleted[0].Acl)
	require.ErrorIs(t, produce(), sarama.ErrTopicAuthorizationFailed)
}

// The client's side of RFC 5802, which the client leaves to its users.
type scram struct {
	hash     func() hash.Hash
	password string
	step     int
	first    string
	expected []byte
}

func (s *scram) Begin(user, password, _ string) error {
	nonce := make([]byte, 18)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	escaped := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)
	s.first = fmt.Sprintf("n=%s,r=%s", escaped, base64.RawStdEncoding.EncodeToString(nonce))
	s.password = password
	return nil
}

func (s *scram) Step(challenge string) (string, error) {
	s.step++
	switch s.step {
	case 1:
		return "n,," + s.first, nil
	case 2:
		return s.proof(challenge)
	}
	signature, found := strings.CutPrefix(challenge, "v=")
	if !found || signature != base64.StdEncoding.EncodeToString(s.expected) {
		return "", errors.New("the broker does not know the password")
	}
	return "", nil
}

func (s *scram) proof(challenge string) (string, error) {
	fields := map[string]string{}
	for _, field := range strings.Split(challenge, ",") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	salt, err := base64.StdEncoding.DecodeString(fields["s"])
	if err != nil {
		return "", err
	}
	rounds, err := strconv.Atoi(fields["i"])
	if err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(s.hash, s.password, salt, rounds, s.hash().Size())
	if err != nil {
		return "", err
	}
	digest := s.hash()
	client := s.mac(salted, "Client Key")
	digest.Write(client)
	final := "c=biws,r=" + fields["r"]
	signed := s.first + "," + challenge + "," + final
	proof := s.mac(digest.Sum(nil), signed)
	for at := range proof {
		proof[at] ^= client[at]
	}
	s.expected = s.mac(s.mac(salted, "Server Key"), signed)
	return final + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (s *scram) mac(key []byte, text string) []byte {
	mac := hmac.New(s.hash, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func (s *scram) Done() bool {
	return s.step >= 3
}
