"""Lets kafka-python's integration tests start Entrepot where they would start Apache Kafka.

A pytest plugin. The tests' fixture stays as it is but for what starts and stops a broker; the
broker is configured with Kafka's own server.properties.
"""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import types

import py
import pytest

# fixtures.py demands a folder with Kafka's scripts; none of them is run.
os.environ["KAFKA_ROOT"] = os.path.dirname(__file__)

DEATH_SIGNAL = 1


def die_with_parent():
    """No broker outlives pytest, however that ends."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


class Child:
    """A running broker; its log is kept."""

    def __init__(self, args, env):
        self.lines = []
        self.is_ready = False
        self.decided = threading.Event()
        self.process = subprocess.Popen(
            args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=env, preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self.follow, daemon=True)
        self.reader.start()

    def follow(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("ready "):
                self.is_ready = True
                self.decided.set()
        self.decided.set()

    def wait_until_ready(self):
        self.decided.wait(30)
        if not self.is_ready:
            self.stop()
            raise RuntimeError("the broker did not start:\n" + "".join(self.lines))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def dump_logs(self):
        sys.stderr.write("".join(self.lines))


# Not in the client's archive: test/__init__.py, without which Python's own package of that name is
# found, and test/service.py.
package = types.ModuleType("test")
package.__path__ = [os.path.join(os.getcwd(), "test")]
sys.modules["test"] = package
service = types.ModuleType("test.service")
service.SpawnedService = service.ExternalService = Child
sys.modules["test.service"] = service

from kafka.admin import UserScramCredentialUpsertion  # noqa: E402
from test.integration import fixtures  # noqa: E402


# An authority, and a certificate for `localhost` that it signed.
CERTIFICATES = """
openssl req -x509 -newkey rsa:2048 -noenc -days 1 -subj /CN=authority -keyout ca-key -out ca-cert
openssl req -newkey rsa:2048 -noenc -subj /CN=localhost -keyout key.pem -out request
echo subjectAltName=DNS:localhost > names
openssl x509 -req -in request -CA ca-cert -CAkey ca-key -CAcreateserial -days 1 -extfile names \\
    -out cert.pem
cat cert.pem key.pem > server.pem
"""


class Fixture(fixtures.KafkaFixture):
    """What replaces the fixture's dealings with Java."""

    def open(self):
        if self.tmp_dir is None:
            self.tmp_dir = py.path.local(tempfile.mkdtemp())
        self.tmp_dir.ensure(dir=True)
        self.start()

    def start(self):
        if self.running:
            return
        self.operators_port = fixtures.get_open_port()
        binary = os.environ["ENTREPOT_BIN"]
        properties = pathlib.Path(self.tmp_dir.strpath, "server.properties")
        properties.write_text(self.properties())
        # Their ports are not free on every machine, and these tests do not talk to them.
        doors = ("ZOOKEEPER", "MQTT", "NATS", "AMQP", "STOMP", "COAP", "GRPC")
        env = dict(os.environ, **{"ENTREPOT_%s__ENABLED" % door: "false" for door in doors}, ENTREPOT_HTTP__PORT="-1")
        self.child = Child([binary, "serve", "--config", str(properties)], env)
        self.child.wait_until_ready()
        self.running = True
        if (self.sasl_mechanism or "").startswith("SCRAM"):
            self.add_user()

    def add_user(self):
        """Over the operators' listener: Kafka gets its first user when its folder is formatted."""
        user = UserScramCredentialUpsertion(
            self.broker_user, self.sasl_mechanism, self.broker_password)
        operators = "localhost:%d" % self.operators_port
        with fixtures.KafkaAdminClient(bootstrap_servers=operators) as admin:
            admin.alter_user_scram_credentials([user])

    def properties(self):
        return "\n".join([
            "node.id=%d" % self.broker_id,
            "listeners=%s://localhost:%d,OPERATORS://localhost:%d" % (
                self.transport, self.port, self.operators_port),
            "listener.security.protocol.map=OPERATORS:PLAINTEXT,%s:%s" % (
                self.transport, self.transport),
            "log.dirs=%s" % self.tmp_dir.join("data"),
            "num.partitions=%d" % self.partitions,
            "auto.create.topics.enable=%s" % str(self.auto_create_topic).lower(),
            "default.replication.factor=%d" % self.replicas,
            # Some tests ask for sessions shorter than the default allows.
            "group.min.session.timeout.ms=1000",
            # Some tests make rules of access; nobody else is to be kept from anything.
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
            "allow.everyone.if.no.acl.found=true",
            self._ssl_config(),
            self._sasl_config(),
            "",
        ])

    def _sasl_config(self):
        if not self.sasl_enabled:
            return ""
        config = "sasl.enabled.mechanisms=%s" % self.sasl_mechanism
        if self.sasl_mechanism == "PLAIN":
            config += "\nlistener.name.%s.plain.sasl.jaas.config=%s" % (
                self.transport.lower(), self._jaas_config().strip())
        return config

    def _ssl_config(self):
        """With PEM files: the package makes Java's key stores."""
        if not self.ssl_enabled:
            return ""
        self.ssl_dir = self.tmp_dir.ensure("ssl", dir=True).strpath
        subprocess.run(["sh", "-euc", CERTIFICATES], cwd=self.ssl_dir, check=True,
                       capture_output=True)
        return "ssl.keystore.type=PEM\nssl.keystore.location=%s/server.pem" % self.ssl_dir

    def get_topic_names(self):
        """As kafka-topics.sh --list has them."""
        with fixtures.KafkaAdminClient(**fixtures.client_params(self, "lister")) as admin:
            return admin.list_topics()


for name, method in vars(Fixture).items():
    if callable(method):
        setattr(fixtures.KafkaFixture, name, method)


# Chance decides these: a subscription made while the client's first metadata is on its way is
# forgotten by the client (`ClusterMetadata.update_metadata` overwrites what `request_update` noted),
# which then waits for topics that it never asked about. They may try again, twice.
FORGETFUL = ("test_idempotent_producer_max_in_flight", "test_kafka_consumer_unsupported_encoding")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name.startswith(FORGETFUL):
            item.add_marker(pytest.mark.flaky(reruns=2))
