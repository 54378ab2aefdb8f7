"""Lets aio-pika's tests start Entrepot where they would have Docker start RabbitMQ.

A pytest plugin. The tests' own client of Docker stays as it is but for what goes over Docker's socket: a container is a
broker with a folder of its own, and `rabbitmqctl stop_app` and `start_app` in it stop and start that broker.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from tests import docker_client

DEATH_SIGNAL = 1


def die_with_parent():
    """No broker outlives the tests, however they end."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def free_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


class Container:
    """A broker, on the same ports however often it is started."""

    def __init__(self):
        self.data = tempfile.mkdtemp(prefix="entrepot-aio-pika-")
        self.ports = {"5672/tcp": free_port(), "5671/tcp": free_port()}
        self.process = None

    def start(self):
        settings = [
            "amqp.tls_port=%d" % self.ports["5671/tcp"],
            "tls.certificate=%s" % os.environ["ENTREPOT_CERTIFICATE"],
            # As the image of RabbitMQ that the tests want has it.
            "amqp.security=SASL_PLAINTEXT",
            "login.mechanisms=PLAIN",
            'login.plain_users=user_guest="guest"',
            # Some publish 22 megabytes; RabbitMQ took that until its version 4.
            "amqp.max_message_bytes=33554432",
        ]
        command = [os.environ["ENTREPOT_BIN"], "serve", "--data-dir", self.data]
        command += ["--amqp-port", str(self.ports["5672/tcp"])]
        command += [word for setting in settings for word in ("--set", setting)]
        others = ("KAFKA", "ZOOKEEPER", "MQTT", "NATS")
        env = dict(os.environ, **{"ENTREPOT_%s__PORT" % door: "0" for door in others})
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env,
            preexec_fn=die_with_parent)
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
        ports = {name: [{"HostPort": str(port)}] for name, port in self.ports.items()}
        return {"NetworkSettings": {"Ports": ports}}


class Docker:
    """What the tests ask of Docker."""

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
                return self.containers[name].inspect()
            case ["POST", "containers", name, "kill"]:
                return self.containers[name].end(signal.SIGKILL)
            case ["POST", "containers", name, "stop"]:
                return self.containers[name].end(signal.SIGTERM)
            case ["DELETE", "containers", name]:
                return self.containers[name].remove()
        raise NotImplementedError((method, path))


DOCKER = Docker()
docker_client.check_docker_available = lambda: docker_client.DockerHostInfo(is_tcp=False)
docker_client.DockerClient._request = lambda _, *request: DOCKER.request(*request)
# There is no image to be pulled.
docker_client.DockerClient._request_stream = lambda _, method, path: None
