"""Waits for what it is told, one command a line, in a ZooKeeper that may come and go.

`there PATH`: until there is such a node. `gone PATH`: until there is none. `other PATH SESSION`:
until another session owns it. `says PATH TEXT`: until the text is in its data. `lacks PATH TEXT`:
until it is not. Prints an event of the command's name with the node. Argument: server.
"""

import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError, SessionExpiredError
from kazoo.handlers.threading import KazooTimeoutError

from events import emit, text

PATIENCE = 180
RETRY = {"max_tries": -1, "delay": 0.1, "max_delay": 1}


def look(path):
    """The node's data and the session that owns it, or None twice."""
    try:
        data, stat = zk.get(path)
    except NoNodeError:
        return None, None
    return text(data or b""), stat.ephemeralOwner


def holds(command, data, owner, argument):
    if command == "gone":
        return data is None
    if data is None:
        return False
    return {
        "there": True,
        "other": owner not in (0, int(argument or 0)),
        "says": argument in data,
        "lacks": argument not in data,
    }[command]


def wait(command, path, argument):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            data, owner = look(path)
        except (KazooException, KazooTimeoutError, SessionExpiredError):
            data, owner = None, None  # The server is away.
        else:
            if holds(command, data, owner, argument):
                emit(command, path=path, data=data, owner=owner)
                return
        time.sleep(0.1)  # poll: a watch would be lost with the server; bounded by PATIENCE
    sys.exit(f"{command} {path} {argument}: {data} {owner}")


zk = KazooClient(hosts=sys.argv[1], timeout=20, connection_retry=RETRY)
zk.start(PATIENCE)
for line in sys.stdin:
    command, path, argument = (line.rstrip("\n").split(" ", 2) + ["", ""])[:3]
    wait(command, path, argument)
zk.stop()
