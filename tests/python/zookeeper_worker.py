"""A worker among others that are killed at any moment. Arguments: server, name. It takes a lock,
items from a queue and its turn as leader, over and over until its input is closed, and checks that
nobody else has what it has.

kazoo does not say of a request whose connection broke whether it was done, and its recipes do not
all ask. So a worker that loses its connection starts over with a new session, as one that crashed
would: what the old one held goes with it."""

import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, KazooException, NodeExistsError
from kazoo.protocol.states import KazooState
from kazoo.retry import KazooRetry

from events import emit, told

server, name = sys.argv[1], sys.argv[2]
ended = told()


def connect():
    """A client, and what is set when it lost its connection once."""
    zk = KazooClient(
        hosts=server, timeout=4, connection_retry=KazooRetry(max_tries=-1, max_delay=0.2)
    )
    lost = threading.Event()
    zk.start(60)
    zk.add_listener(lambda state: state != KazooState.CONNECTED and lost.set())
    return zk, lost


def alone(zk, lost, what):
    """Leaves a mark that vanishes with our session, as the lock's own node does. One that is there
    already is of somebody who has the same lock."""
    mark = f"/inside/{what}"
    try:
        zk.create(mark, name.encode(), ephemeral=True)
    except NodeExistsError:
        if lost.is_set():
            raise ConnectionLoss from None  # The lock may have gone with the session.
        emit("violation", what=what, by=name)
        raise
    count, stat = zk.get(f"/counted/{what}")
    zk.set(f"/counted/{what}", str(int(count) + 1).encode(), version=stat.version)
    zk.delete(mark)
    emit("inside", what=what)


def work(zk, lost):
    """Until there is no more, or the connection is gone."""
    queue = zk.LockingQueue("/work")
    while not ended.is_set() and not lost.is_set():
        with zk.Lock("/locks/one", name):
            alone(zk, lost, "lock")
        election = zk.Election("/locks/leader", name)
        election.run(alone, zk, lost, "leader")
        item = queue.get(timeout=0.2)
        if item is not None:
            try:
                zk.create("/done/" + item.decode(), name.encode())
            except NodeExistsError:
                # Whoever did it was killed before saying so.
                emit("again", item=item.decode())
            if queue.consume():
                emit("consumed", item=item.decode())


while not ended.is_set():
    client, gone = connect()
    try:
        work(client, gone)
    except KazooException:
        if not gone.wait(1):
            raise
        emit("over", by=name)
    finally:
        client.stop()
        client.close()
