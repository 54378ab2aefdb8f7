"""Stands where paho-mqtt's tests look for the broker that they run in a thread, and starts Entrepot instead."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import types

DEATH_SIGNAL = 1


def die_with_parent():
    """No broker outlives the tests, however they end."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def free_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


class Server:
    """What the tests ask of the server of the listener: where it is, and that it ends."""

    def __init__(self, process, port):
        self.process = process
        self.socket = types.SimpleNamespace(getsockname=lambda: ("127.0.0.1", port))

    def shutdown(self):
        # So that nobody takes the next one for this.
        listeners.TCPListeners.server = None
        self.process.terminate()
        self.process.wait(30)

    def server_close(self):
        pass


listeners = types.SimpleNamespace(TCPListeners=types.SimpleNamespace(server=None))


def run(config):
    """Serves until the server is shut down. Of the configuration there is a line `listener PORT`."""
    port = int(config[0].split()[1]) or free_port()
    data = tempfile.mkdtemp(prefix="entrepot-paho-")
    command = [os.environ["ENTREPOT_BIN"], "serve", "--data-dir", data, "--mqtt-port", str(port)]
    for door in ("kafka", "zookeeper", "nats", "amqp", "stomp", "coap", "grpc"):
        command += ["--%s-port" % door, "0"]
    command += ["--set", "amqp.management_port=-1", "--set", "http.port=-1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    try:
        for line in process.stdout:
            if line.startswith("ready "):
                listeners.TCPListeners.server = Server(process, port)
    finally:
        process.wait()
        shutil.rmtree(data, ignore_errors=True)
