"""Lets kafka-python's integration tests start Entrepot where they would start Apache Kafka.

A pytest plugin. The tests' fixture stays as it is but for what starts and stops a broker; the
broker is configured with Kafka's own server.properties. The tests' results are printed as JSON, one
a line, for the program that started pytest.
"""

import ctypes
import json
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

    def __init__(self, args):
        self.lines = []
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self.follow, daemon=True)
        self.reader.start()

    def follow(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("ready "):
                self.ready.set()
        self.ready.set()

    def wait_until_ready(self):
        self.ready.wait(30)
        if self.process.poll() is not None or not self.ready.is_set():
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

from test.integration import fixtures  # noqa: E402


class Fixture(fixtures.KafkaFixture):
    """What replaces the fixture's dealings with Java."""

    def open(self):
        if self.tmp_dir is None:
            self.tmp_dir = py.path.local(tempfile.mkdtemp())
        self.tmp_dir.ensure(dir=True)
        self.start()

    def start(self):
        binary = os.environ["ENTREPOT_BIN"]
        properties = pathlib.Path(self.tmp_dir.strpath, "server.properties")
        properties.write_text(self.properties())
        self.child = Child([binary, "serve", "--config", str(properties)])
        self.child.wait_until_ready()
        self.running = True

    def properties(self):
        return "\n".join([
            "node.id=%d" % self.broker_id,
            "listeners=%s://localhost:%d" % (self.transport, self.port),
            "log.dirs=%s" % self.tmp_dir.join("data"),
            "num.partitions=%d" % self.partitions,
            "auto.create.topics.enable=%s" % str(self.auto_create_topic).lower(),
            "default.replication.factor=%d" % self.replicas,
            # Some tests ask for sessions shorter than the default allows.
            "group.min.session.timeout.ms=1000",
            self._ssl_config(),
            self._sasl_config(),
            "",
        ])

    def get_topic_names(self):
        """As kafka-topics.sh --list has them."""
        with fixtures.KafkaAdminClient(**fixtures.client_params(self, "lister")) as admin:
            return admin.list_topics()


for name in ("open", "start", "properties", "get_topic_names"):
    setattr(fixtures.KafkaFixture, name, getattr(Fixture, name))


class Results:
    """Of setting up, the call and the clean-up of a test the first that fails is its result."""

    def __init__(self):
        self.told = {}

    def pytest_runtest_logreport(self, report):
        how = ""
        if report.outcome == "rerun":
            return
        if report.failed:
            how = "%s: %s" % (report.when, str(report.longrepr).strip().splitlines()[-1])
        elif report.skipped:
            how = "skipped: %s" % (report.longrepr[-1],)
        self.told[report.nodeid] = self.told.get(report.nodeid) or how

    def pytest_sessionfinish(self):
        # On the stream that pytest leaves alone.
        for name, how in self.told.items():
            event = {"event": "test", "name": name, "failed": how or None}
            print("\n" + json.dumps(event), file=sys.__stdout__, flush=True)


# Chance decides these: a subscription made while the client's first metadata is on its way is
# forgotten by the client (`ClusterMetadata.update_metadata` overwrites what `request_update` noted),
# which then waits for topics that it never asked about. They may try again, twice.
FORGETFUL = "test_idempotent_producer_max_in_flight"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name.startswith(FORGETFUL):
            item.add_marker(pytest.mark.flaky(reruns=2))


def pytest_configure(config):
    config.pluginmanager.register(Results())
